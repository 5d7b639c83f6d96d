"""Changes reach every page once, cost nothing when there are none, and end with the session."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cellwarden.hub.live import Live
from hub.fleet import NOW, Site, finding, pack_notes, site, sound_frames

Event = tuple[str, Any]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as running:
        running.add_people()
        running.fill("pack-1", sound_frames(), pack_notes())
        yield running


def _events(answer: httpx.Response) -> Iterator[Event]:
    event = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))


def test_a_page_is_told_how_things_stand_and_then_each_change(own: Site) -> None:
    with own.sign_in("viewer").stream("GET", "/api/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        events = _events(answer)
        first = dict(next(events) for _ in range(2))
        assert set(first) == {"fleet", "trust"}
        assert [b["device"] for b in first["fleet"]["batteries"]] == ["pack-1"]
        assert first["trust"] == {"tree_size": 2, "accepted_count": 1, "refused_count": 0}
        own.fill("pack-2", sound_frames())
        second = dict(next(events) for _ in range(2))
        assert len(second["fleet"]["batteries"]) == 2
        assert second["trust"]["accepted_count"] == 2


def test_a_battery_that_falls_silent_is_told_though_nothing_came(own: Site) -> None:
    with own.sign_in("viewer").stream("GET", "/api/events") as answer:
        events = _events(answer)
        first = dict(next(events) for _ in range(2))
        assert first["fleet"]["batteries"][0]["stale"] is False
        own.clock.now += 200.0
        name, told = next(events)
        assert name == "fleet"
        assert told["batteries"][0]["stale"] is True


def test_a_stream_ends_with_its_session(own: Site) -> None:
    client, other = own.sign_in("viewer"), own.sign_in("viewer")
    with client.stream("GET", "/api/events") as answer, other.stream("GET", "/api/events") as more:
        events, others = _events(answer), _events(more)
        for _ in range(2):
            next(events)
            next(others)
        second = own.client(cookies=dict(client.cookies))
        second.headers["X-CSRF-Token"] = client.headers["X-CSRF-Token"]
        assert second.delete("/api/session").status_code == 204
        own.fill("pack-2", sound_frames())
        assert list(events) == []
        assert next(others)[0] == "fleet"


def test_many_pages_share_one_look_at_the_store(own: Site) -> None:
    live = _live(own)
    client = own.sign_in("viewer")
    seen: list[int] = []

    def listen() -> None:
        with client.stream("GET", "/api/events") as answer:
            events = _events(answer)
            while True:
                name, told = next(events)
                if name == "trust" and told["accepted_count"] == 2:
                    seen.append(1)
                    return

    threads = [threading.Thread(target=listen) for _ in range(12)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while live.client_count < 12 and time.monotonic() < deadline:
        time.sleep(0.01)
    looks = live.look_count
    own.fill("pack-2", sound_frames())
    for thread in threads:
        thread.join(20)
    assert len(seen) == 12
    assert live.look_count - looks <= 2


def test_without_a_listener_nobody_looks(own: Site) -> None:
    live = _live(own)
    with own.sign_in("viewer").stream("GET", "/api/events") as answer:
        next(_events(answer))
    deadline = time.monotonic() + 20
    while live.client_count and time.monotonic() < deadline:
        time.sleep(0.01)
    looks = live.look_count
    own.fill("pack-2", sound_frames())
    time.sleep(0.6)
    assert (live.client_count, live.look_count) == (0, looks)


def test_more_pages_than_there_is_room_for_are_told_to_come_later(own: Site) -> None:
    _live(own)._most = 2
    client = own.sign_in("viewer")
    with client.stream("GET", "/api/events"), client.stream("GET", "/api/events"):
        answer = client.get("/api/events")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"


def test_a_quiet_stream_beats(own: Site) -> None:
    _live(own).beat_second = 0.3
    with own.sign_in("viewer").stream("GET", "/api/events") as answer:
        beats = (line for line in answer.iter_lines() if line.startswith(":"))
        assert [next(beats), next(beats)] == [": still here"] * 2


def test_a_page_that_does_not_read_is_let_go_and_holds_up_nobody(own: Site) -> None:
    live = _live(own)
    live.patience_second = 0.5
    wordy = replace(finding(), message="x" * 20_000)
    for n in range(60):
        own.fill(f"pack-{n + 100}", sound_frames(2), pack_notes(wordy))
    client = own.sign_in("viewer")
    context = ssl.create_default_context(cadata=(_folder(own) / "ca.crt").read_text())
    plain = socket.create_connection(("127.0.0.1", own.page_port))
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as deaf:
        cookie = f"__Host-cellwarden={client.cookies['__Host-cellwarden']}"
        deaf.sendall(f"GET /api/events HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
        with client.stream("GET", "/api/events") as answer:
            events = _events(answer)
            next(events)
            deadline = time.monotonic() + 60
            while live.client_count < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            begin = NOW
            while live.client_count == 2 and time.monotonic() < deadline:
                begin += 1000.0
                own.fill("pack-1", sound_frames(2, begin=begin))
                next(events)
            assert live.client_count == 1
            assert next(events)[0] in ("fleet", "trust")


def _live(own: Site) -> Live:
    live: Live = own.app.state.live
    return live


def _folder(own: Site) -> Path:
    folder: Path = own.hub.store.place.path.parent
    return folder
