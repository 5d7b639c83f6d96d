"""What the pages are told, over the wire: shape, sense, and nothing that is no number."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cellwarden.domain import Finding, Severity
from cellwarden.errors import IdentityError
from cellwarden.hub.contract import Battery, Device, Fleet, Signals, Trust
from cellwarden.hub.latest import Latest, read_latest
from cellwarden.hub.roles import Role
from hub.fleet import (
    NOW,
    Clock,
    Site,
    finding,
    open_hub,
    pack_notes,
    silent_frames,
    site,
    sound_frames,
    verdict_row,
)

BATTERY = {
    "device",
    "chemistry",
    "series_count",
    "nominal_capacity_ah",
    "last_seen_unix_time_second",
    "last_sample_unix_time_second",
    "stale",
    "frame_count",
    "voltage_volt",
    "current_ampere",
    "soc_fraction",
    "soc_std_fraction",
    "cell_temperature_celsius",
    "health",
    "health_reason",
    "life",
    "life_reason",
    "worst_finding",
    "finding_count",
    "open_finding_count",
    "receipt_id",
    "pack_mode",
}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as running:
        running.add_people()
        yield running


@pytest.fixture
def viewer(people: dict[Role, httpx.Client]) -> httpx.Client:
    return people[Role.VIEWER]


def strict(answer: httpx.Response) -> Any:
    """JSON as browsers read it, which know no NaN."""
    assert answer.status_code == 200, answer.text

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(answer.text, parse_constant=refuse)


def test_the_fleet_shows_each_battery_as_its_last_frame_left_it(viewer: httpx.Client) -> None:
    told = strict(viewer.get("/api/fleet"))
    assert told["now_unix_time_second"] == NOW
    first, second = told["batteries"]
    assert set(first) == BATTERY
    assert (first["device"], second["device"]) == ("pack-1", "pack-2")
    assert (first["chemistry"], first["series_count"], first["nominal_capacity_ah"]) == (
        "NMC",
        4,
        5.0,
    )
    assert first["frame_count"] == 120
    assert first["last_sample_unix_time_second"] == NOW + 59
    assert first["soc_fraction"] == pytest.approx(0.6)
    assert first["cell_temperature_celsius"] == 26.0
    assert first["health"]["soh_fraction"] == 0.91
    assert first["life"] is None
    assert first["life_reason"] == "too few cycles"
    assert second["health"] is None
    assert second["receipt_id"] is None


def test_the_worst_finding_is_the_gravest_and_of_these_the_newest(viewer: httpx.Client) -> None:
    first, second = strict(viewer.get("/api/fleet"))["batteries"]
    assert first["finding_count"] == 1
    assert second["finding_count"] == 2
    assert second["worst_finding"] == {
        "kind": "rate",
        "severity": "ALARM",
        "signal": "voltage_volt",
        "item": 2,
        "unix_time_second": NOW,
        "last_unix_time_second": NOW,
        "open": True,
        "message": "rate!",
        "evidence": {"value": 4.3, "limit": 4.2},
    }


def test_one_battery_comes_with_its_findings_its_fade_and_its_model(viewer: httpx.Client) -> None:
    told = strict(viewer.get("/api/batteries/pack-1"))
    assert set(told) == {
        *("battery", "explanation", "fade", "forecast", "findings", "model", "pack")
    }
    assert told["fade"]["soh_fraction"] == [1.0, None]
    assert told["model"] == {"name": "soh", "digest": "ab"}
    assert told["forecast"] is None
    assert told["battery"] == strict(viewer.get("/api/fleet"))["batteries"][0]
    bare = strict(viewer.get("/api/batteries/pack-2"))
    assert set(bare["fade"]) == {
        *("cycle_count", "capacity_ah", "soh_fraction"),
        *("estimate", "low", "high"),
    }
    assert not any(bare["fade"].values())
    assert [item["kind"] for item in bare["findings"]] == ["bounds", "rate"]


def test_a_receipt_comes_as_it_is_stored_and_as_a_file(viewer: httpx.Client) -> None:
    mark = strict(viewer.get("/api/fleet"))["batteries"][0]["receipt_id"]
    answer = viewer.get(f"/api/receipts/{mark}")
    assert strict(answer) == {"receipt": mark}
    assert answer.headers["content-disposition"] == f'attachment; filename="{mark}.json"'


def test_trust_shows_the_ledger_as_it_stands(hub: Site, viewer: httpx.Client) -> None:
    hub.hub.ingest.note_refusal(IdentityError("who?"), claimed="pack-1", peer="mallory")
    told = Trust.model_validate(strict(viewer.get("/api/trust")))
    assert told.ledger.tree_size == hub.hub.ledger.tree.size
    assert told.ledger.key == hub.installation.note_key.text()
    assert told.accepted_count == 3
    assert [batch.leaf_index for batch in told.accepted] == sorted(
        (batch.leaf_index for batch in told.accepted), reverse=True
    )
    assert told.refused[0].kind == "IdentityError"
    assert told.refused[0].peer == "mallory"
    first = told.devices[0]
    assert isinstance(first, Device)
    assert (first.device, first.sequence, first.batch_count) == ("pack-1", 2, 2)
    assert first.refused_count >= 1
    assert len(bytes.fromhex(first.certificate_sha256)) == 32


def test_the_hubs_own_certificate_is_no_device(hub: Site, viewer: httpx.Client) -> None:
    hub.hub.ingest.enrol(hub.installation.hub.certificate)
    told = strict(viewer.get("/api/trust"))
    assert [device["device"] for device in told["devices"]] == ["pack-1", "pack-2"]


@pytest.mark.parametrize(
    "path", ["/api/fleet", "/api/batteries/dark", "/api/batteries/dark/signals"]
)
def test_sensors_without_a_reading_are_null_and_never_nan(own: Site, path: str) -> None:
    own.fill("dark", silent_frames(), pack_notes(finding()))
    verdict_row(
        own.hub.store,
        "dark",
        health={
            "soh_fraction": float("nan"),
            "low": 0,
            "high": 1,
            "coverage": 0.9,
            "cycle_count": 1,
        },
        fade={"cycle_count": [1], "soh_fraction": [float("inf")], "low": [float("nan")]},
    )
    with own.hub.store.transaction() as store:
        store.execute("UPDATE finding SET evidence = '{\"value\": NaN}'")
    told = strict(own.sign_in("viewer").get(path))
    if path.endswith("signals"):
        assert told["voltage_volt"] == [None] * 10
        assert told["cell_voltage_high_volt"] == [None] * 10
        assert told["soc_fraction"] == [None] * 10
        return
    battery = told["battery"] if "battery" in told else told["batteries"][0]
    assert battery["voltage_volt"] is None
    assert battery["cell_temperature_celsius"] is None
    assert battery["health"]["soh_fraction"] is None
    assert battery["worst_finding"]["evidence"] == {"value": None}


def test_a_verdict_that_cannot_be_read_does_not_hide_the_fleet(own: Site) -> None:
    for device in ("pack-1", "pack-2"):
        own.fill(device, sound_frames(), pack_notes())
        verdict_row(own.hub.store, device, health_reason="too young")
    with own.hub.store.transaction() as store:
        store.execute("UPDATE verdict SET verdict = '{' WHERE device = 'pack-1'")
    first, second = strict(own.sign_in("viewer").get("/api/fleet"))["batteries"]
    assert "cannot be read" in first["health_reason"]
    assert second["health_reason"] == "too young"


def test_a_newer_verdict_replaces_the_older_one(own: Site) -> None:
    own.fill("pack-1", sound_frames(), pack_notes())
    viewer = own.sign_in("viewer")
    for at in (1.0, 2.0):
        mark = verdict_row(own.hub.store, "pack-1", at=NOW + at, health_reason=f"at {at}")
        own.fill("pack-1", sound_frames(begin=NOW + at * 100))
        battery = strict(viewer.get("/api/fleet"))["batteries"][0]
        assert battery["health_reason"] == f"at {at}"
        assert battery["receipt_id"] == mark


def test_a_battery_is_stale_when_nothing_comes_and_not_because_its_record_is_old(
    own: Site,
) -> None:
    own.fill("live", sound_frames(begin=NOW - 59), pack_notes())
    own.fill("replayed", sound_frames(begin=1.2e9), pack_notes())
    viewer = own.sign_in("viewer")

    def told() -> dict[str, tuple[bool, float, float]]:
        batteries = strict(viewer.get("/api/fleet"))["batteries"]
        names = ("stale", "last_sample_unix_time_second", "last_seen_unix_time_second")
        return {battery["device"]: tuple(battery[name] for name in names) for battery in batteries}

    assert told() == {"live": (False, NOW, NOW), "replayed": (False, 1.2e9 + 59, NOW)}
    own.clock.now += 119
    own.fill("live", sound_frames(begin=NOW + 60), pack_notes())
    own.clock.now += 2
    assert {name: row[0] for name, row in told().items()} == {"live": False, "replayed": True}


def lasting(*, over: bool = False, at: float = NOW) -> Finding:
    """A fault as the guard tells it, when it begins or when it has ended."""
    evidence = {"value": 4.3, "frame_count": 7.0, "last_unix_time_second": at + 6}
    end = {"over_unix_time_second": at + 6} if over else {}
    return replace(finding(at=at), evidence=evidence | end)


def findings_of(viewer: httpx.Client, device: str) -> list[tuple[str, bool]]:
    told = strict(viewer.get(f"/api/batteries/{device}"))
    return [(item["kind"], item["open"]) for item in told["findings"]]


def test_a_finding_stays_open_until_the_guard_says_that_it_is_over(own: Site) -> None:
    begin = NOW - 1000
    own.fill("pack-1", sound_frames(begin=begin), pack_notes(lasting(at=begin)))
    own.fill("pack-1", sound_frames(begin=begin + 60), pack_notes())
    viewer = own.sign_in("viewer")
    assert findings_of(viewer, "pack-1") == [("bounds", True)]
    over = pack_notes(lasting(over=True, at=begin))
    own.fill("pack-1", sound_frames(begin=begin + 400), over)
    assert findings_of(viewer, "pack-1") == [("bounds", False)]
    (battery,) = strict(viewer.get("/api/fleet"))["batteries"]
    assert (battery["finding_count"], battery["open_finding_count"]) == (1, 0)
    worst = battery["worst_finding"]
    assert (worst["open"], worst["last_unix_time_second"]) == (False, begin + 6)
    assert worst["evidence"] == {"value": 4.3, "frame_count": 7.0}


def test_what_an_earlier_run_of_the_device_saw_is_open_only_if_the_next_run_sees_it(
    own: Site,
) -> None:
    own.fill("pack-1", sound_frames(), pack_notes(lasting()))
    own.makers["pack-1"].boot += 1
    own.fill("pack-1", sound_frames(begin=NOW + 60), pack_notes(lasting(at=NOW + 60)))
    told = strict(own.sign_in("viewer").get("/api/batteries/pack-1"))["findings"]
    assert [(item["unix_time_second"], item["open"]) for item in told] == [
        (NOW + 60, True),
        (NOW, False),
    ]


def test_an_open_finding_is_worse_than_a_graver_one_that_is_over(own: Site) -> None:
    own.fill("pack-1", sound_frames(), pack_notes(finding("rate", Severity.ALARM), lasting()))
    own.fill("pack-1", sound_frames(begin=NOW + 60), pack_notes())
    viewer = own.sign_in("viewer")
    assert findings_of(viewer, "pack-1") == [("bounds", True), ("rate", False)]
    (battery,) = strict(viewer.get("/api/fleet"))["batteries"]
    assert battery["worst_finding"]["kind"] == "bounds"
    assert (battery["finding_count"], battery["open_finding_count"]) == (2, 1)


def test_a_battery_that_said_nothing_of_itself_is_shown_all_the_same(own: Site) -> None:
    own.fill("bare", sound_frames(cells=7))
    battery = strict(own.sign_in("viewer").get("/api/fleet"))["batteries"][0]
    assert (battery["chemistry"], battery["nominal_capacity_ah"]) == (None, None)
    assert battery["series_count"] == 7


def test_what_memory_knows_of_each_device_is_what_the_store_says_after_a_restart(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as running:
        running.fill("pack-1", sound_frames(), pack_notes())
        running.fill("pack-1", sound_frames(17, begin=NOW), pack_notes())
        running.fill("dark", silent_frames())
        kept = dict(running.hub.ingest.latest)
        assert _told(read_latest(running.hub.store)) == _told(kept)
    hub = open_hub(tmp_path, Clock())
    try:
        assert _told(hub.ingest.latest) == _told(kept)
        assert kept["pack-1"].frame_count == 77
    finally:
        hub.close()


def _told(latest: dict[str, Latest]) -> dict[str, str]:
    """As text, in which one NaN equals another."""
    return {name: repr(each) for name, each in latest.items()}


@pytest.mark.parametrize(
    "name",
    [
        "x' OR '1'='1",
        'x"; DROP TABLE sample; --',
        "pack-1%00",
        "pack-1%27",
        "..%2f..%2fetc%2fpasswd",
        "%",
        "' UNION SELECT password_hash FROM account --",
        "x" * 64,
    ],
)
@pytest.mark.parametrize(
    "path", ["/api/batteries/{}", "/api/batteries/{}/signals", "/api/receipts/{}", "/api/export/{}"]
)
def test_a_name_that_is_sql_finds_nothing_and_changes_nothing(
    hub: Site, people: dict[Role, httpx.Client], path: str, name: str
) -> None:
    before = hub.hub.store.rows("SELECT count(*) FROM sample")
    answer = people[Role.ADMINISTRATOR].get(path.format(name))
    assert answer.status_code in (400, 404, 422)
    assert "argon2" not in answer.text
    assert hub.hub.store.rows("SELECT count(*) FROM sample") == before


@pytest.mark.parametrize(
    "path", ["/api/batteries/none", "/api/batteries/none/signals", "/api/receipts/none"]
)
def test_what_is_not_there_is_said_in_the_shape_of_every_error(
    viewer: httpx.Client, path: str
) -> None:
    answer = viewer.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "message", "hint"}


@pytest.mark.parametrize(
    "query",
    ["points=1", "points=20001", "points=x", "start=nan", "stop=inf", "start=x", "points=-5"],
)
def test_a_query_that_makes_no_sense_is_refused(viewer: httpx.Client, query: str) -> None:
    answer = viewer.get(f"/api/batteries/pack-1/signals?{query}")
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "message", "hint"}


def test_times_in_the_wrong_order_are_a_mistake_of_the_caller(viewer: httpx.Client) -> None:
    answer = viewer.get("/api/batteries/pack-1/signals?start=10&stop=5")
    assert answer.status_code == 400
    assert answer.json()["error"] == "UsageError"


def test_every_column_of_the_signals_is_as_long_as_time(viewer: httpx.Client) -> None:
    for points in (2, 7, 50, 1000):
        told = strict(viewer.get(f"/api/batteries/pack-1/signals?points={points}"))
        assert set(told) == set(Signals.model_fields)
        assert len({len(line) for line in told.values()}) == 1


def test_a_huge_body_is_refused_before_it_is_read_whole(hub: Site) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    client = hub.client()
    for content in (b"x" * (1 << 20), endless()):
        headers = {"content-type": "application/json"}
        try:
            answer = client.post("/api/session", content=content, headers=headers)
        except (httpx.WriteError, httpx.ReadError):
            continue  # the hub closed the connection while we were still sending
        assert answer.status_code == 413
        assert set(answer.json()) == {"error", "message", "hint"}
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_fault_of_the_hub_is_told_by_number_only_and_its_detail_is_in_the_log(
    own: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    viewer = own.sign_in("viewer")
    with own.hub.store.transaction() as store:
        store.execute("ALTER TABLE refusal RENAME TO mislaid")
    capfd.readouterr()
    answer = viewer.get("/api/trust")
    assert answer.status_code == 500
    told = answer.json()
    assert "mislaid" not in answer.text
    assert "refusal" not in answer.text
    mark = told["hint"].split()[2]
    printed = "".join(capfd.readouterr())
    assert mark in printed
    assert "refusal" in printed
    assert viewer.cookies["__Host-cellwarden"] not in printed


def test_a_hub_whose_store_is_gone_says_try_later(own: Site) -> None:
    viewer = own.sign_in("viewer")
    own.hub.store.close()
    answer = viewer.get("/api/trust")
    assert answer.status_code in (500, 503)
    assert viewer.get("/healthz").json() == {"ok": True}


def test_every_answer_tells_the_browser_to_be_careful(hub: Site, viewer: httpx.Client) -> None:
    for client, path in (
        (viewer, "/api/fleet"),
        (hub.client(), "/api/fleet"),
        (viewer, "/api/nothing"),
        (hub.client(), "/"),
        (hub.client(), "/healthz"),
        (viewer, "/metrics"),
        (viewer, "/api/batteries/pack-1/signals?points=x"),
    ):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "max-age=" in headers["strict-transport-security"]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in headers
        if path != "/":
            assert headers["cache-control"] == "no-store"


def test_the_counters_count(hub: Site, viewer: httpx.Client) -> None:
    hub.client().request("PROPFIND", "/api/fleet")
    viewer.get("/api/batteries/pack-1")
    text = viewer.get("/metrics").text
    assert "cellwarden_batches_accepted_total 3.0" in text
    assert "cellwarden_waiting_bytes 0.0" in text
    assert 'cellwarden_stage_seconds_total{stage="store"}' in text
    assert 'route="/api/batteries/{device}",status="200"' in text
    assert 'method="other"' in text
    assert "pack-1" not in text


def test_the_second_look_at_an_unchanged_fleet_asks_the_store_for_nothing(own: Site) -> None:
    own.fill("pack-1", sound_frames(), pack_notes(finding("x", Severity.INFO)))
    viewer = own.sign_in("viewer")
    first = Fleet.model_validate(strict(viewer.get("/api/fleet")))
    with own.hub.store.transaction() as store:
        store.execute("ALTER TABLE pack RENAME TO mislaid")
    assert Fleet.model_validate(strict(viewer.get("/api/fleet"))) == first
    assert isinstance(first.batteries[0], Battery)
