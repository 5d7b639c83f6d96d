"""From a driver to a hub and back: nothing is lost, nothing is sent twice, nothing is believed."""

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from cellwarden.domain import Finding, Series, Severity
from cellwarden.edge.agent import Agent, Device, Sender, keep_sending, refusal_error
from cellwarden.edge.drivers import ReplayDriver
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.transport import CallTransport
from cellwarden.errors import (
    DecodeError,
    Error,
    IdentityError,
    LedgerError,
    ReplayError,
    SealError,
    TrustError,
    UnavailableError,
)
from cellwarden.hub.audit import StoreView
from cellwarden.hub.ingest import Reply
from cellwarden.hub.rows import read_batches
from cellwarden.trust.ledger import Checkpoint, leaf_hash, root_of, sign_checkpoint
from cellwarden.wire import Ack, Message, Notes, Refusal, encode_columns
from cellwarden.wire.audit import Acknowledged, audit
from trust.making import NOW, Fleet, Maker, Running, fleet

KEY = bytes(range(32))
PIECE = 5


def record(count: int = 40) -> Series:
    time_second = np.arange(count, dtype=np.float64)
    return Series(
        name="a",
        test_time_second=time_second,
        unix_time_second=NOW - 1000 + time_second,
        voltage_volt=3.7 + 0.001 * time_second,
        current_ampere=np.sin(time_second),
        surface_temperature_celsius=np.full(count, 25.0),
    )


@dataclass
class Edge:
    """One device with its outbox; opens anew as after a restart."""

    folder: Path
    maker: Maker
    device: Device

    def outbox(self) -> Outbox:
        return Outbox(self.folder / f"{self.maker.name}.sqlite", KEY)

    def make(self, outbox: Outbox, series: Series, batches: int = 1 << 30) -> int:
        """Let the agent make batches; gives how many."""
        driver = ReplayDriver(series, outbox.state.position)
        agent = Agent(self.device, driver, outbox, batch_frames=PIECE)
        made = 0
        while made < batches and agent.step():
            made += 1
        return made

    def acknowledged(self, outbox: Outbox) -> list[Acknowledged]:
        return [
            Acknowledged(
                self.maker.name, one.sequence, one.leaf_index, one.manifest, one.checkpoint
            )
            for one in outbox.acknowledgements()
        ]


def edge(folder: Path, name: str = "a") -> Edge:
    maker = fleet().maker(name)
    return Edge(folder, maker, maker.device(fleet().note_key))


def to(hub: Running, maker: Maker) -> CallTransport:
    return CallTransport(lambda bodies: hub.send_bytes(maker, *bodies))


def send_all(sender: Sender) -> list[Error]:
    """Send until done, as the edge process does; gives what was waited out."""
    waited: list[Error] = []
    ended: list[BaseException] = []

    def run() -> None:
        try:
            keep_sending(sender, lambda: True, waited.append)
        except Error as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "it never ends"
    if ended:
        raise ended[0]
    return waited


def stored(hub: Running, name: str) -> list[bytes]:
    """Columns of a device's batches as the hub has them, in order."""
    rows = hub.store.rows("SELECT leaf_index FROM batch WHERE device = ? ORDER BY sequence", [name])
    return [encode_columns(read_batches(hub.store, leaf, leaf)[leaf]) for (leaf,) in rows]


def wanted(series: Series) -> list[bytes]:
    told = series.frames()
    return [encode_columns(told.rows(n, n + PIECE)) for n in range(0, len(told), PIECE)]


def test_a_record_arrives_whole_in_order_and_once(tmp_path: Path) -> None:
    here = edge(tmp_path)
    outbox = here.outbox()
    with fleet().open(tmp_path) as hub:
        assert here.make(outbox, record()) == 8
        assert outbox.waiting_count() == 8
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
        assert outbox.waiting_count() == 0
        assert stored(hub, "a") == wanted(record())
        report = audit(
            StoreView(hub.store), fleet().roots, fleet().note_key, here.acknowledged(outbox)
        )
        assert report.ok
        assert report.acknowledgement_count >= 1
    outbox.close()


def test_after_every_restart_reading_and_sending_go_on_where_they_were(tmp_path: Path) -> None:
    here = edge(tmp_path)
    with fleet().open(tmp_path) as hub:
        for _ in range(20):
            outbox = here.outbox()
            made = here.make(outbox, record(), batches=1)
            if outbox.state.boot % 3 == 0:
                Sender(here.device, outbox, to(hub, here.maker)).step()
            outbox.close()
            if not made:
                break
        outbox = here.outbox()
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
        outbox.close()
        assert stored(hub, "a") == wanted(record())


class Weather:
    """A way to the hub on which requests and answers get lost by a table."""

    def __init__(self, way: CallTransport, table: Sequence[str]) -> None:
        self._way = way
        self._table = list(table)

    def send(self, messages: Sequence[bytes]) -> Reply:
        kind = self._table.pop(0) if self._table else "fair"
        if kind == "request lost":
            raise UnavailableError("no way to the hub")
        reply = self._way.send(messages[:1] if kind == "cut short" else messages)
        if kind == "answer lost":
            raise UnavailableError("no way to the hub")
        if kind == "busy":
            return None, None
        return reply


@pytest.mark.parametrize(
    "table",
    [
        ["request lost"] * 2,
        ["answer lost"] * 2,
        ["cut short"] * 5,
        ["busy"],
        ["answer lost", "cut short", "request lost", "busy", "cut short", "answer lost"],
    ],
    ids=lambda table: ", ".join(table[:2]),
)
def test_whatever_gets_lost_on_the_way_arrives_once(tmp_path: Path, table: list[str]) -> None:
    here = edge(tmp_path)
    outbox = here.outbox()
    here.make(outbox, record())
    with fleet().open(tmp_path) as hub:
        send_all(Sender(here.device, outbox, Weather(to(hub, here.maker), table)))
        assert outbox.waiting_count() == 0
        assert stored(hub, "a") == wanted(record())
    outbox.close()


def test_a_hub_set_back_to_a_backup_gets_again_what_it_lost(tmp_path: Path) -> None:
    here = edge(tmp_path)
    outbox = here.outbox()
    home, backup = tmp_path / "hub", tmp_path / "backup"
    home.mkdir()
    here.make(outbox, record(), batches=3)
    with fleet().open(home) as hub:
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
    shutil.copytree(home, backup)
    here.make(outbox, record(), batches=3)
    with fleet().open(home) as hub:
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
    here.make(outbox, record())
    with fleet().open(backup) as hub:
        # Its last batch is made already: the end of the record must not be the end of sending.
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
        assert outbox.waiting_count() == 0
        assert stored(hub, "a") == wanted(record())
        assert audit(
            StoreView(hub.store), fleet().roots, fleet().note_key, here.acknowledged(outbox)
        ).ok
    outbox.close()


def test_a_hub_that_lost_what_the_device_no_longer_has_is_told_so(tmp_path: Path) -> None:
    here = edge(tmp_path)
    outbox = Outbox(tmp_path / "a.sqlite", KEY, keep_bytes=0)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    here.make(outbox, record(), batches=3)
    with fleet().open(tmp_path / "old") as hub:
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
    here.make(outbox, record())
    with fleet().open(tmp_path / "new") as hub, pytest.raises(ReplayError):
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
    assert outbox.waiting_count() == 5
    outbox.close()


# --- hubs that lie --------------------------------------------------------------------------------


def rewrite(parts: Fleet, folder: Path, device: str) -> None:
    """A hub drops a device, closes the gaps, and signs hashes and head anew."""
    with parts.store(folder) as store:
        with store.transaction():
            store.execute(
                "CREATE TEMP TABLE kept AS SELECT leaf_index AS old,"
                " row_number() OVER (ORDER BY leaf_index) - 1 AS new FROM leaf WHERE device <> ?",
                [device],
            )
            for table in ("sample", "batch", "leaf"):
                store.execute(f"DELETE FROM {table} WHERE device = ?", [device])
                store.execute(
                    f"UPDATE {table} SET leaf_index = (SELECT new FROM kept WHERE old = leaf_index)"
                )
        entries = [bytes(r[0]) for r in store.rows("SELECT entry FROM leaf ORDER BY leaf_index")]
        head = Checkpoint(
            fleet().note_key.name, len(entries), root_of([leaf_hash(one) for one in entries])
        )
        note = sign_checkpoint(head, parts.ledger_secret)
        with store.transaction():
            store.execute("DELETE FROM checkpoint")
            store.add("checkpoint", size=head.size, root=head.root, note=note, unix_time_second=NOW)


def test_a_hub_that_drops_a_device_is_caught_by_the_others_however_often_they_send_again(
    tmp_path: Path,
) -> None:
    here, gone = edge(tmp_path, "a"), edge(tmp_path, "b")
    mine, theirs = here.outbox(), gone.outbox()
    here.make(mine, record(10))
    gone.make(theirs, record(30))
    with fleet().open(tmp_path) as hub:
        for _ in range(2):
            Sender(gone.device, theirs, to(hub, gone.maker)).step()
        Sender(here.device, mine, to(hub, here.maker)).step()
    rewrite(fleet(), tmp_path, "b")
    with fleet().open(tmp_path) as hub:
        for _count in range(3, 30):
            here.maker.name = "a"
            # The same device goes on for a long time, each time acknowledged in the new history.
            one_more(here, mine)
            Sender(here.device, mine, to(hub, here.maker)).step()
        held = here.acknowledged(mine)
        assert len(held) < 15
        report = audit(StoreView(hub.store), fleet().roots, fleet().note_key, held)
    assert report.first_bad is not None
    assert report.first_bad.device == "a"
    assert "rewritten" in report.first_bad.reason
    mine.close()
    theirs.close()


def one_more(here: Edge, outbox: Outbox) -> None:
    """One more batch of the same device."""
    assert Agent(here.device, ReplayDriver(record(PIECE)), outbox, batch_frames=PIECE).step()


LIES: dict[str, Callable[[Ack], Ack]] = {
    "a batch that was not sent": lambda ack: replace(ack, sequence=ack.sequence + 1),
    "a batch before those that were sent": lambda ack: replace(ack, sequence=0),
    "another leaf": lambda ack: replace(ack, leaf_index=ack.leaf_index - 1),
    "no leaf": lambda ack: replace(ack, leaf_index=1 << 40),
    "a leaf below zero": lambda ack: replace(ack, leaf_index=-1),
    "no proof": lambda ack: replace(ack, proof=()),
    "a longer proof": lambda ack: replace(ack, proof=(*ack.proof, bytes(32))),
    "an unsigned head": lambda ack: replace(
        ack, checkpoint=ack.checkpoint.split("\n\n")[0] + "\n\n"
    ),
    "no head": lambda ack: replace(ack, checkpoint=""),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_acknowledgement_that_is_not_proved_is_none(tmp_path: Path, lie: str) -> None:
    here = edge(tmp_path)
    outbox = here.outbox()
    here.make(outbox, record())
    with fleet().open(tmp_path) as hub:

        def lying(bodies: list[bytes]) -> Reply:
            ack, refusal = hub.send_bytes(here.maker, *bodies)
            assert ack is not None
            return LIES[lie](ack), refusal

        with pytest.raises((TrustError, DecodeError)):
            send_all(Sender(here.device, outbox, CallTransport(lying)))
        assert outbox.last_ack() is None
        assert outbox.waiting_count() == 8
        # The honest hub takes nothing in twice.
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
        assert stored(hub, "a") == wanted(record())
    outbox.close()


def test_a_head_signed_by_another_key_is_no_promise(tmp_path: Path) -> None:
    here = edge(tmp_path)
    outbox = here.outbox()
    here.make(outbox, record())
    other = replace(fleet(), ledger_secret=ed25519.Ed25519PrivateKey.generate())
    with other.open(tmp_path) as hub, pytest.raises(LedgerError, match="not signed"):
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
    outbox.close()


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal("SealError", "no", "look"), SealError),
        (Refusal("IdentityError", "no", "look"), IdentityError),
        (Refusal("ReplayError", "no", "look", 1), ReplayError),
        (Refusal("ReplayError", "no", "look", 99), ReplayError),
        (Refusal("ReplayError", "no", "look", None), ReplayError),
        (Refusal("DecodeError", "no", "look"), DecodeError),
        (Refusal("NoSuchError", "no", "look"), TrustError),
        (Refusal("EXIT_CODE", "no", "look"), TrustError),
        (Refusal("Mapping", "no", "look"), TrustError),
        (Refusal("__name__", "no", "look"), TrustError),
        (Refusal("", "no", "look"), TrustError),
    ],
)
def test_a_refusal_for_good_ends_the_sending_and_keeps_the_batches(
    tmp_path: Path, refusal: Refusal, kind: type[Error]
) -> None:
    here = edge(tmp_path)
    outbox = here.outbox()
    here.make(outbox, record())
    with pytest.raises(kind) as told:
        send_all(Sender(here.device, outbox, CallTransport(lambda _bodies: (None, refusal))))
    assert type(told.value) is kind
    assert told.value.hint == "look"
    assert outbox.waiting_count() == 8
    outbox.close()


def test_a_refusal_to_wait_out_is_waited_out() -> None:
    assert isinstance(refusal_error(Refusal("UnavailableError", "busy", "")), UnavailableError)


def test_a_batch_that_is_refused_stops_before_the_next_one(tmp_path: Path) -> None:
    here = edge(tmp_path)
    outbox = here.outbox()
    here.make(outbox, record())
    with fleet().open(tmp_path) as hub:

        def spoil_the_third(bodies: list[bytes]) -> Reply:
            third = Message.decode(bodies[2])
            bodies[2] = Message(third.manifest, third.sealed[:-1] + b"\x00").encode()
            return hub.send_bytes(here.maker, *bodies)

        with pytest.raises(SealError):
            send_all(Sender(here.device, outbox, CallTransport(spoil_the_third)))
        assert outbox.waiting_count() == 6
        assert stored(hub, "a") == wanted(record())[:2]
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
        assert stored(hub, "a") == wanted(record())
    outbox.close()


# --- power loss -----------------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from cellwarden.edge.outbox import ChainState, Outbox

outbox = Outbox(Path(sys.argv[1]), bytes(range(32)))
state = outbox.begin_boot()
while True:
    number = outbox.state.sequence + 1
    outbox.append(number.to_bytes(8, "big") * 500, ChainState(
        state.boot, number, number.to_bytes(32, "big"), str(number).encode()))
    print(number, flush=True)
"""


def test_killed_in_the_middle_of_writing_message_and_state_still_agree(tmp_path: Path) -> None:
    path, told = tmp_path / "outbox.sqlite", 0
    for boot in range(1, 4):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            told = int(line)
            if told % 25 == 0:
                process.send_signal(signal.SIGKILL)
                break
        rest = process.stdout.read().split()
        process.stdout.close()
        process.wait()
        told = int(rest[-1]) if rest else told
        outbox = Outbox(path, KEY)
        state, held = outbox.state, outbox.after(0, 1 << 30)
        outbox.close()
        assert state.boot == boot
        assert state.sequence >= told, "what was said to be kept is gone"
        assert [number for number, _ in held] == list(range(1, state.sequence + 1))
        assert state.previous == state.sequence.to_bytes(32, "big")
        assert state.position == str(state.sequence).encode()


@dataclass
class Told:
    """Something beside the frames that is told once."""

    waiting: list[Finding]
    heard: list[Notes] = field(default_factory=list)

    def notes(self) -> Notes:
        return Notes(findings=tuple(self.waiting))

    def told(self, notes: Notes) -> None:
        self.heard.append(notes)
        self.waiting.clear()


def test_what_is_told_beside_the_frames_is_told_with_the_next_batch_and_once(
    tmp_path: Path,
) -> None:
    here = edge(tmp_path)
    outbox = here.outbox()
    finding = Finding("overrun", Severity.WARNING, "cycle", NOW, "late")
    beside = Told([finding])
    driver = ReplayDriver(record(), outbox.state.position)
    agent = Agent(here.device, driver, outbox, batch_frames=PIECE, beside=beside)
    with fleet().open(tmp_path) as hub:
        while agent.step():
            pass
        send_all(Sender(here.device, outbox, to(hub, here.maker)))
        rows = hub.store.rows("SELECT sequence, kind, message FROM finding")
        assert rows == [(1, "overrun", "late")]
    assert beside.heard[0] == Notes(findings=(finding,))
    assert set(beside.heard[1:]) == {Notes()}
    outbox.close()
