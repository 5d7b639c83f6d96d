"""A controlled device: its loop, its batches, its sender, its orders and its watchdog together.

Rules
- The loop has the main thread. Everything that may wait for a disk or a network has its own.
- What is wrong with the hub, its orders or the way to it never opens a pack: it is reported, and
  the control goes on. A fault of the program ends the whole: the pack is opened, and the service
  manager starts it again.
- One process controls a pack: a lock on a file in its folder keeps a second one out.
- When it is told to stop, the pack is opened first; then what was read is put into the outbox.
"""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cellwarden.domain import Finding, Frames, Pack
from cellwarden.edge.adapting import Adapter
from cellwarden.edge.agent import Agent, Sender, Watch, keep_sending
from cellwarden.edge.carryover import Carryover
from cellwarden.edge.clock import TrustedClock
from cellwarden.edge.config import (
    open_device,
    open_journal,
    open_memory,
    open_outbox,
    open_transport,
)
from cellwarden.edge.control_loop import ControlLoop
from cellwarden.edge.device_config import Described, DeviceConfig, read_device_config
from cellwarden.edge.drivers.seam import Live
from cellwarden.edge.frame_queue import FrameQueue
from cellwarden.edge.inference import ChargeSense, HealthSense, StrangeSense, senses
from cellwarden.edge.live import open_live
from cellwarden.edge.models import Models, load_models
from cellwarden.edge.orders import OrderDesk, kept_roots
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.outputs.background import Background
from cellwarden.edge.outputs.config import open_outputs, read_outputs
from cellwarden.edge.pack_identity import ASK_SECOND, PackIdentity, element_of
from cellwarden.edge.recognise import Recogniser
from cellwarden.edge.showing import Reopened, Showing
from cellwarden.edge.standing import Standing
from cellwarden.edge.timekeeping import Timekeeping
from cellwarden.edge.transport import Courier
from cellwarden.edge.watch import PackWatch
from cellwarden.edge.watchdog import Guarded, Watchdog, notify
from cellwarden.errors import (
    EDGE_REACTION,
    EXIT_CODE,
    DataError,
    Error,
    SafetyError,
    UnavailableError,
    UsageError,
    look_up,
)
from cellwarden.trust.identity import Roots, load_certificate
from cellwarden.wire import Notes
from cellwarden.wire.obedience import Rules

__all__ = ["Controller", "lock_out_others", "run_controlled"]

_RETRY_SECOND: Final = 1.0
_REFUSED_SECOND: Final = 60.0
_LAST_SECOND: Final = 3.0  # for what was read, when it is told to stop


@dataclass(slots=True)
class _Beside:
    """Notes of the orders, the loop and the queue for the next batch."""

    desk: OrderDesk
    loop: ControlLoop
    queue: FrameQueue
    models: Models
    standing: Standing
    identity: PackIdentity
    told_models: bool = False

    def notes(self) -> Notes:
        """What there is to tell."""
        orders = self.desk.notes()
        now = self.desk.clock.now()
        found = [*orders.findings, *self.loop.take_findings(), *self.queue.findings(now)]
        found += self.identity.take_findings()
        if not self.told_models:
            found += self.models.findings(now)
        status = self.standing.take()
        return Notes(findings=tuple(found), outcomes=orders.outcomes, status=status)

    def told(self, notes: Notes) -> None:
        """It is in the outbox."""
        self.told_models = True
        self.desk.told(notes)


def _with_own_charge(watch: PackWatch, adapter: Adapter, recogniser: Recogniser) -> Watch:
    """The guard beside the loop: its own estimate serves the guard, the loop's is sent."""

    def look(frames: Frames, state: bytes) -> tuple[Frames, tuple[Finding, ...], bytes]:
        _, findings, state = watch(frames, state)
        found = (*findings, *adapter.look(frames), *recogniser.look(frames))
        return frames, found, state

    return look


class Controller:
    """The parts of one device, put together; `run` stays until it is told to stop."""

    def __init__(
        self,
        folder: Path,
        live: Live | None = None,
        *,
        report: Callable[[Error], None] = lambda _error: None,
        on_trip: Callable[[float], None] = lambda _silent: None,
    ) -> None:
        """Open everything; `live` stands in for the pack that the folder names.

        Raises:
            Error: something does not open.
        """
        self._report = _unheard(report)
        self._stopping = threading.Event()
        self._faults: list[Exception] = []
        config = read_device_config(folder)
        told = config.described(folder.name)
        self._stack = ExitStack()
        try:
            lock_out_others(folder, self._stack)
            self._open(folder, config, told, live or self._connect(config, told), on_trip)
        except BaseException:
            self._stack.close()
            raise

    def _connect(self, config: DeviceConfig, told: Described) -> Live:
        live = open_live(config, told)
        self._stack.callback(live.close)
        return live

    def _open(
        self,
        folder: Path,
        config: DeviceConfig,
        told: Described,
        live: Live,
        on_trip: Callable[[float], None],
    ) -> None:
        device = open_device(folder)
        outbox = self._stack.enter_context(
            closing(open_outbox(folder, keep_bytes=config.room.keep_bytes))
        )
        transport = self._stack.enter_context(closing(open_transport(folder)))
        authority = load_certificate((folder / "ca.crt").read_bytes())
        clock = TrustedClock()
        models = load_models(folder, kept_roots(outbox, authority), clock.now())
        speaks_for = frozenset(config.orders.hub_speaks_for)
        rules = Rules(device.name, told.room, models.obeyed, speaks_for)
        latest = device.certificate.not_valid_after_utc.timestamp()
        self.desk = OrderDesk(outbox, rules, authority, clock, latest_unix_time_second=latest)
        watch = self._know(folder, told, outbox, lambda: self.desk.roots, clock)
        self._remember(folder, told, clock)
        self._show(folder, told)
        quota = config.room.quota_bytes
        journal = self._stack.enter_context(closing(open_journal(folder)))
        self.queue = FrameQueue(
            journal,
            outbox.state.position,
            flush_second=config.loop.flush_second,
            batch_second=config.loop.batch_frames * config.loop.frame_second * 2.0,
            used_fraction=lambda: outbox.waiting_bytes() / quota,
        )
        guarded = Guarded(live)
        self.watchdog = Watchdog(guarded, limit_second=told.settings.silent_second, on_trip=on_trip)
        self.loop = ControlLoop(
            live,
            told.control,
            self.queue,
            senses(told.pack, models),
            guarded=guarded,
            watchdog=self.watchdog,
            ordered=self.desk.in_force,
            reopen=told.control.opened,
            settings=told.settings,
        )
        self._warm_up = partial(_warm_up, live, told.pack, senses(told.pack, models))
        self._poll_second = config.orders.poll_second
        self._outbox, self._transport, self._device = outbox, transport, device
        self._agent = Agent(
            device,
            self.queue,
            outbox,
            pack=told.note,
            batch_frames=config.loop.batch_frames,
            watch=watch,
            beside=_Beside(
                self.desk, self.loop, self.queue, models, told.control.standing, self.identity
            ),
            report=self._report,
        )

    def _know(
        self,
        folder: Path,
        told: Described,
        outbox: Outbox,
        roots: Callable[[], Roots],
        clock: TrustedClock,
    ) -> Watch:
        """What is learnt of the pack's user, and who the pack is: both hold the control back."""
        name = told.pack.name
        adapter = Adapter(folder, name, told.pack, outbox, roots=roots, now=clock.now)
        self.identity = PackIdentity(name, element_of(folder), outbox, roots, clock.now)
        told.control.regime = lambda: adapter.regime
        told.control.identity = self.identity
        recogniser = Recogniser(told.pack, outbox, self.identity, clock.now)
        return _with_own_charge(PackWatch(told.pack), adapter, recogniser)

    def _remember(self, folder: Path, told: Described, clock: TrustedClock) -> None:
        """What outlives the power, and how wrong the clock is."""
        book = open_memory(folder)
        try:
            self.carryover = Carryover(book, told.pack.series_count)
        except BaseException:
            book.close()
            raise
        self._stack.callback(self.carryover.close)
        told.control.carryover = self.carryover
        self.timekeeping = Timekeeping(clock)
        told.control.clock_error = self.timekeeping.error_second

    def _show(self, folder: Path, told: Described) -> None:
        """Whoever is shown the pack, beside the hub."""
        listed = read_outputs(folder)
        if not any((listed.sunspec, listed.sparkplug, listed.home_assistant, listed.can)):
            return
        pack, period = told.pack, told.settings.frame_second
        make = partial(open_outputs, folder, pack, pack.name, period_second=period)
        background = Background(Reopened(make, self._report))
        self._stack.callback(background.close)
        told.control.show = Showing(pack, told.control.rows, background.show, period).note

    @property
    def outbox(self) -> Outbox:
        """What waits to be sent."""
        return self._outbox

    def stop(self) -> None:
        """Let the pack open, and end."""
        self._stopping.set()

    def run(self) -> None:
        """Control the pack until told to stop.

        Raises:
            Error: that of the thread that failed.
        """
        self._warm_up()
        self.identity.ask()
        threads = {
            name: threading.Thread(target=self._guard, args=(what,), name=name, daemon=True)
            for name, what in (
                ("batches", self._make),
                ("sender", self._send),
                ("orders", self._ask),
                ("identity", self._recognise),
                ("memory", self._keep),
            )
        }
        for thread in threads.values():
            thread.start()
        self.watchdog.start()
        notify("READY=1")
        faults: list[Exception] = []
        try:
            self.loop.run(lambda: not self._stopping.is_set())
        finally:
            faults += self._faults  # what comes after is the ending itself
            self._stopping.set()
            notify("STOPPING=1")
            self.watchdog.stop()
            self.queue.close()
            threads["batches"].join(_LAST_SECOND)
            threads["sender"].join(_LAST_SECOND)
            self._stack.close()
        if faults:
            raise faults[0]

    def _guard(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001  raised again by `run`, after the pack is open
            self._faults.append(error)
            self._stopping.set()

    def _make(self) -> None:
        while True:
            try:
                if not self._agent.step():
                    return
            except Error as error:
                self._report(error)
                if look_up(EDGE_REACTION, error) != "retry":
                    return  # a spoilt outbox tells the hub nothing more; the pack is still served
                if self._stopping.wait(_RETRY_SECOND) and self.queue.closed:
                    return

    def _send(self) -> None:
        while True:
            sender = Sender(self._device, self._outbox, self._transport, self._transport.expected)
            try:
                keep_sending(sender, self._stopping.is_set, self._report)
            except Error as error:  # refused; what is read is kept, and asked again later
                self._report(error)
            if self._stopping.wait(_REFUSED_SECOND):
                return

    def _keep(self) -> None:
        self.carryover.keep_on(self._stopping.is_set, self._report)

    def _recognise(self) -> None:
        while not self._stopping.wait(ASK_SECOND):
            try:
                self.identity.ask()
            except Error as error:  # an answer that cannot be kept does not count
                self._report(error)

    def _ask(self) -> None:
        courier: Courier = self._transport
        while not self._stopping.wait(self._poll_second):
            try:
                self.desk.poll(courier)
            except Error as error:  # a hub that is silent or strange gives no orders
                self._report(error)


def _warm_up(live: Live, pack: Pack, fresh: tuple[ChargeSense, HealthSense, StrangeSense]) -> None:
    """Everything once while the pack is open: what is compiled or loaded late takes seconds."""
    try:
        frame = live.read().frame
        fresh[0].step(frame)
        PackWatch(pack)(Frames.stack([frame]), b"")
    except (DataError, UnavailableError):
        return  # the loop sees the same, and says so


def _unheard(report: Callable[[Error], None]) -> Callable[[Error], None]:
    """A report that nobody takes (a full disk, a closed terminal) stops nothing."""

    def tell(error: Error) -> None:
        with suppress(OSError, ValueError):
            report(error)

    return tell


def lock_out_others(folder: Path, stack: ExitStack) -> None:
    """Hold a device's folder until the stack ends.

    Raises:
        UsageError: another process controls its pack.
    """
    descriptor = os.open(folder / "device.lock", os.O_RDWR | os.O_CREAT, 0o600)
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            f"another process controls {folder.name}", hint="Let one of the two run it."
        ) from error


def run_controlled(folder: Path, report: Callable[[Error], None]) -> None:
    """Control the pack of a folder until the process is told to stop.

    Raises:
        Error: it cannot go on; the pack is open.
    """

    def end(silent: float) -> None:
        told = f"the control has not answered for {silent:.1f} s; the pack was told to open"
        report(SafetyError(told, hint="The service manager starts it again."))
        # The loop hangs somewhere that nothing reaches: only a new process helps.
        time.sleep(_RETRY_SECOND)
        os._exit(EXIT_CODE[SafetyError])

    controller = Controller(folder, report=report, on_trip=end)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: controller.stop())
    controller.run()
