import json

import numpy as np
import pytest

from cellwarden.edge.outputs.home_assistant import HomeAssistantProfile
from cellwarden.edge.outputs.metrics import metrics_of
from cellwarden.edge.outputs.publication import Publication
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import UsageError
from edge.carried import charge_record, frame, pack

NOW = 0.0


def view(**changed: object) -> PackView:
    return PackView(pack(), frame(**changed), soc_fraction=0.5, soc_std_fraction=0.02)


def begun() -> tuple[HomeAssistantProfile, list[Publication]]:
    made = HomeAssistantProfile("box")
    made.open(NOW)
    return made, made.begin(view(), NOW)


def state(sent: list[Publication]) -> dict[str, object]:
    (said,) = [json.loads(s.payload) for s in sent if s.topic == "cellwarden/box/rack-1/state"]
    assert isinstance(said, dict)
    return said


def test_every_metric_is_configured_once_and_kept_by_the_broker() -> None:
    home, sent = begun()
    told = {s.topic: json.loads(s.payload) for s in sent if s.topic.endswith("/config")}
    assert len(told) == len(metrics_of(14))
    assert all(s.retain for s in sent if s.topic.endswith("/config"))
    assert len({config["unique_id"] for config in told.values()}) == len(told)
    soc = told["homeassistant/sensor/box/rack-1_soc_fraction/config"]
    assert (soc["unit_of_measurement"], soc["device_class"]) == ("%", "battery")
    assert soc["expire_after"] == 30
    assert soc["availability_topic"] == "cellwarden/box/availability"
    assert soc["value_template"] == "{{ value_json.soc_fraction }}"
    assert "unit_of_measurement" not in told["homeassistant/sensor/box/rack-1_state/config"]
    switch = told["homeassistant/binary_sensor/box/rack-1_contactors_closed/config"]
    assert (switch["payload_on"], switch["payload_off"]) == ("True", "False")
    assert len(home.show(view(), NOW)) == 1


def test_values_are_not_kept_by_the_broker_and_missing_ones_are_null() -> None:
    home, _ = begun()
    sent = home.show(view(voltage_volt=np.nan), NOW)
    assert not sent[0].retain
    said = state(sent)
    assert said["voltage_volt"] is None
    assert said["soc_fraction"] == 50.0
    assert said["current_ampere"] == pytest.approx(12.3)


def test_a_real_charge_is_positive() -> None:
    home, _ = begun()
    for ampere, shown in charge_record():
        said = state(home.show(PackView(pack(), shown), NOW))
        assert isinstance(said["current_ampere"], float)
        assert np.sign(said["current_ampere"]) == np.sign(ampere)


def test_the_will_and_the_goodbye_say_offline() -> None:
    home = HomeAssistantProfile("box")
    will = home.open(NOW)
    assert (will.topic, will.payload, will.retain) == (
        "cellwarden/box/availability",
        b"offline",
        True,
    )
    assert home.end(NOW) == [will]
    assert home.begin(None, NOW)[0].payload == b"online"


def test_a_restarted_home_assistant_is_told_everything_again() -> None:
    home, first = begun()
    assert home.hear("homeassistant/status", b"offline", NOW) == []
    assert home.hear("homeassistant/status", b"online", NOW) == first
    assert home.show(view(), NOW, historical=True) == []


def test_a_name_that_cannot_stand_in_a_topic_is_refused() -> None:
    with pytest.raises(UsageError):
        HomeAssistantProfile("a/b")
