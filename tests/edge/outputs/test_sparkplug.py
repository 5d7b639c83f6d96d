"""What Google's Protocol Buffers make of our Sparkplug messages, and the rules of a session."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Allowance, Restraint
from cellwarden.edge.outputs.metrics import metrics_of, values_of
from cellwarden.edge.outputs.sparkplug import REBIRTH, SparkplugProfile, rebirth_asked
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import DecodeError, UsageError
from edge.carried import frame, pack
from edge.outputs.sparkplug_payload import read, write

NOW = 1_750_000_100.0
NODE = "spBv1.0/site/{}/box"


def view(**changed: object) -> PackView:
    known = {name: changed.pop(name) for name in ("soc_fraction", "allowance") if name in changed}
    return PackView(pack(), frame(**changed), **known)  # type: ignore[arg-type]


def profile(start: int = 0) -> SparkplugProfile:
    made = SparkplugProfile("site", "box", start)
    made.open(NOW)
    return made


def test_a_session_begins_with_births_and_counts_on() -> None:
    node, device = profile().begin(view(), NOW)
    assert node.topic == NODE.format("NBIRTH")
    assert device.topic == NODE.format("DBIRTH") + "/rack-1"
    assert all((sent.qos, sent.retain) == (0, False) for sent in (node, device))
    born = read(node.payload)
    assert born.seq == 0
    assert born.timestamp == round(1000 * NOW)
    named = {metric.name: metric for metric in born.metrics}
    assert set(named) == {"bdSeq", REBIRTH}
    assert (named["bdSeq"].datatype, named["bdSeq"].long_value) == (4, 0)
    assert (named[REBIRTH].datatype, named[REBIRTH].boolean_value) == (11, False)
    assert read(device.payload).seq == 1


def test_a_birth_names_every_metric_with_alias_type_unit_and_value() -> None:
    payload = read(profile().begin(view(), NOW)[1].payload)
    assert [metric.name for metric in payload.metrics] == [row.name for row in metrics_of(14)]
    assert len({metric.alias for metric in payload.metrics}) == len(payload.metrics)
    named = {metric.name: metric for metric in payload.metrics}
    current = named["current_ampere"]
    assert (current.datatype, current.double_value) == (10, pytest.approx(12.3))
    assert list(current.properties.keys) == ["engUnit"]
    assert current.properties.values[0].string_value == "A"
    assert current.timestamp == 1_750_000_000_000
    assert named["soc_fraction"].is_null
    assert named["soc_fraction"].datatype == 10
    assert named["contactors_closed"].datatype == 11
    assert named["cell_14_voltage_volt"].double_value == pytest.approx(3.663)


def test_data_tell_what_has_changed_by_alias_alone() -> None:
    spark = profile()
    born = read(spark.begin(view(), NOW)[1].payload)
    aliases = {metric.name: metric.alias for metric in born.metrics}
    assert spark.show(view(), NOW) == []
    (sent,) = spark.show(view(current_ampere=-3.5), NOW)
    assert sent.topic == NODE.format("DDATA") + "/rack-1"
    told = read(sent.payload)
    assert told.seq == 2
    assert {metric.alias for metric in told.metrics} == {
        aliases["current_ampere"],
        aliases["power_watt"],
    }
    assert all(not metric.HasField("name") for metric in told.metrics)
    assert told.metrics[0].double_value == pytest.approx(-3.5)


def test_a_reading_that_goes_missing_is_null() -> None:
    spark = profile()
    spark.begin(view(), NOW)
    (sent,) = spark.show(view(voltage_volt=np.nan), NOW)
    assert all(metric.is_null for metric in read(sent.payload).metrics)


def test_history_is_marked_and_changes_nothing_that_is_live() -> None:
    spark = profile()
    spark.begin(view(), NOW)
    (sent,) = spark.show(view(current_ampere=1.0, unix_time_second=5.0), NOW, historical=True)
    told = read(sent.payload)
    assert len(told.metrics) == len(metrics_of(14))
    assert all(metric.is_historical and metric.timestamp == 5000 for metric in told.metrics)
    assert spark.show(view(), NOW) == []


def test_the_sequence_wraps_after_255() -> None:
    spark = profile()
    spark.begin(view(), NOW)
    seen = [
        read(sent.payload).seq
        for step in range(600)
        for sent in spark.show(view(current_ampere=float(step)), NOW)
    ]
    assert seen[:3] == [2, 3, 4]
    assert max(seen) == 255
    assert all((b - a) % 256 == 1 for a, b in pairwise(seen))


def test_will_and_births_carry_one_number_and_the_next_connection_the_next() -> None:
    kept: list[int] = []
    spark = SparkplugProfile("site", "box", 254, kept.append)
    numbers = []
    for _ in range(4):
        will = spark.open(NOW)
        assert (will.topic, will.qos, will.retain) == (NODE.format("NDEATH"), 1, False)
        death = read(will.payload)
        assert not death.HasField("seq")
        born = read(spark.begin(view(), NOW)[0].payload)
        assert born.seq == 0
        number = next(m.long_value for m in born.metrics if m.name == "bdSeq")
        assert [(m.name, m.long_value) for m in death.metrics] == [("bdSeq", number)]
        assert spark.end(NOW)[0].payload == will.payload
        numbers.append(number)
    assert numbers == [254, 255, 0, 1]
    assert kept == [255, 0, 1, 2]


def test_a_host_that_asks_gets_births_anew_and_the_number_stays() -> None:
    spark = profile(7)
    spark.begin(view(), NOW)
    spark.show(view(current_ampere=1.0), NOW)
    asked = write(name=REBIRTH, datatype=11, boolean_value=True)
    node, device = spark.hear(NODE.format("NCMD"), asked, NOW)
    assert read(node.payload).seq == 0
    assert next(m.long_value for m in read(node.payload).metrics if m.name == "bdSeq") == 7
    named = {metric.name: metric for metric in read(device.payload).metrics}
    assert named["current_ampere"].double_value == 1.0


@pytest.mark.parametrize(
    ("topic", "metric"),
    [
        ("NCMD", {"name": REBIRTH, "boolean_value": False}),
        ("NCMD", {"name": "current_ampere", "double_value": 1.0}),
        ("NDATA", {"name": REBIRTH, "boolean_value": True}),
    ],
)
def test_nothing_else_can_be_commanded(topic: str, metric: dict[str, object]) -> None:
    assert profile().hear(NODE.format(topic), write(**metric), NOW) == []


def test_a_pack_that_comes_later_or_changes_is_born_then() -> None:
    spark = profile()
    assert len(spark.begin(None, NOW)) == 1
    (born,) = spark.show(view(), NOW)
    assert "/DBIRTH/" in born.topic
    longer = PackView(pack(20), frame(cell_voltage_volt=np.full(20, 3.7)))
    (again,) = spark.show(longer, NOW)
    assert "/DBIRTH/" in again.topic
    assert len(read(again.payload).metrics) == len(metrics_of(20))


@given(data=st.binary(max_size=60))
@settings(max_examples=200)
def test_random_commands_are_refused_or_ignored(data: bytes) -> None:
    try:
        assert rebirth_asked(data) is False
    except DecodeError:
        return


@given(
    cut=st.integers(0, 30),
    name=st.text(max_size=20),
    value=st.booleans(),
    alias=st.integers(0, 2**63),
)
def test_whatever_a_host_writes_is_read_as_google_writes_it(
    cut: int, name: str, *, value: bool, alias: int
) -> None:
    data = write(name=name, alias=alias, boolean_value=value)
    assert rebirth_asked(data) is (name == REBIRTH and value)
    if 0 < cut < len(data):
        with pytest.raises(DecodeError):
            rebirth_asked(data[:-cut])


def test_why_a_limit_holds_is_told() -> None:
    rule = Restraint("cold", 10.0, 2.0)
    allowed = Allowance(10.0, 80.0, 500.0, 4000.0, charge_by=(rule,))
    shown = view(allowance=allowed)
    told = dict(zip([row.name for row in metrics_of(14)], values_of(shown), strict=True))
    assert told["charge_limited_by"] == "cold"
    assert told["discharge_limited_by"] == ""
    assert told["charge_limit_ampere"] == 10.0


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#"])
def test_a_name_that_cannot_stand_in_a_topic_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        SparkplugProfile("site", name)
