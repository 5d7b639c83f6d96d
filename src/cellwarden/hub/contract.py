"""What the hub tells its pages, as types; `/openapi.json` is made from them.

A number that is not finite becomes null: NaN has no place in JSON.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cellwarden.hub.roles import Role

__all__ = [
    "Accepted",
    "AccountBody",
    "Battery",
    "BatteryDetail",
    "Counts",
    "Credentials",
    "Curve",
    "Curves",
    "Device",
    "ErrorBody",
    "Explanation",
    "Fade",
    "FindingBody",
    "FirstBad",
    "Fleet",
    "Forecast",
    "HealthBody",
    "LedgerHead",
    "LifeBody",
    "Limits",
    "Model",
    "NewAccount",
    "NewOrder",
    "NewPassword",
    "Ok",
    "OrderBody",
    "OrderEvent",
    "Orders",
    "PackBody",
    "PackMove",
    "PackTrouble",
    "PlanBody",
    "Refused",
    "SessionBody",
    "ShownAccount",
    "Signals",
    "SignedOrder",
    "Trust",
    "Verdict",
    "Verification",
]

Number = float | None
Line = list[Number]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null", protected_namespaces=())


class ErrorBody(_Body):
    """Why a request failed and what to do about it."""

    error: str
    message: str
    hint: str


class Ok(_Body):
    """The hub answers."""

    ok: bool = True


class Credentials(_Body):
    """What somebody signs in with."""

    user: str = Field(min_length=1, max_length=200)
    password: SecretStr = Field(min_length=1, max_length=1024)


class NewPassword(_Body):
    """A change of one's own password."""

    old: SecretStr = Field(min_length=1, max_length=1024)
    new: SecretStr = Field(min_length=1, max_length=1024)


class SessionBody(_Body):
    """Who is signed in; `csrf` goes into the header X-CSRF-Token of each change."""

    user: str
    role: Role
    csrf: str


class NewAccount(_Body):
    """An account to be made."""

    user: str = Field(min_length=1, max_length=63)
    role: Role


class ShownAccount(_Body):
    """An account with its new password, which is shown this once."""

    user: str
    role: Role
    password: str


class AccountBody(_Body):
    """An account."""

    user: str
    role: Role
    created_unix_time_second: float


class HealthBody(_Body):
    """Capacity now over nominal, with its interval."""

    soh_fraction: Number
    low: Number
    high: Number
    coverage: Number
    cycle_count: Number


class LifeBody(_Body):
    """Full cycles left, with their interval."""

    life_cycle_count: Number
    low: Number
    high: Number
    coverage: Number
    end_of_life_fraction: Number


class FindingBody(_Body):
    """Something that does not look right, with the numbers that say so.

    `open` says that the newest that came still shows it; `last_unix_time_second` is when it was
    last seen.
    """

    kind: str
    severity: Literal["INFO", "WARNING", "ALARM"]
    signal: str
    item: int
    unix_time_second: Number
    last_unix_time_second: Number
    open: bool
    message: str
    evidence: dict[str, Number]


class Battery(_Body):
    """One battery as it was last heard of.

    `stale` says that nothing came for a while; a record that is sent years later is not stale,
    its `last_sample_unix_time_second` says how old it is. The worst finding is the gravest of those
    that are open, or of all where none is. `pack_mode` is that of a pack under control.
    """

    device: str
    chemistry: str | None
    series_count: int
    nominal_capacity_ah: Number
    last_seen_unix_time_second: float
    last_sample_unix_time_second: float
    stale: bool
    frame_count: int
    voltage_volt: Number
    current_ampere: Number
    soc_fraction: Number
    soc_std_fraction: Number
    cell_temperature_celsius: Number
    health: HealthBody | None
    health_reason: str | None
    life: LifeBody | None
    life_reason: str | None
    worst_finding: FindingBody | None
    finding_count: int
    open_finding_count: int
    receipt_id: str | None
    pack_mode: str | None = None


class Fleet(_Body):
    """All batteries."""

    now_unix_time_second: float
    batteries: list[Battery]


class Explanation(_Body):
    """How much each feature moved the estimate from the model's average."""

    base: Number
    features: list[str]
    values: Line
    contributions: Line


class Fade(_Body):
    """Capacity over cycles: measured, and as the model smooths it."""

    cycle_count: Line = []
    capacity_ah: Line = []
    soh_fraction: Line = []
    estimate: Line = []
    low: Line = []
    high: Line = []


class Forecast(_Body):
    """Where capacity is going."""

    cycle_count: Line
    soh_fraction: Line
    low: Line
    high: Line


class Model(_Body):
    """The model behind a verdict."""

    name: str
    digest: str


class Verdict(_Body):
    """The hub's verdict on a battery, as it is stored."""

    health: HealthBody | None = None
    health_reason: str | None = None
    life: LifeBody | None = None
    life_reason: str | None = None
    explanation: Explanation | None = None
    fade: Fade = Fade()
    forecast: Forecast | None = None
    model: Model | None = None


class PackTrouble(_Body):
    """Something that the pack's own diagnostics hold against it."""

    name: str
    reaction: str
    since_unix_time_second: float
    value: Number
    limit: Number
    item: int
    latched: bool


class PackMove(_Body):
    """A change of mode, and why."""

    unix_time_second: float
    source: str
    target: str
    reason: str


class PackBody(_Body):
    """How a controlled pack stands, by its own newest word; `moves` newest first."""

    unix_time_second: float
    mode: str
    plus_closed: bool
    minus_closed: bool
    precharge_closed: bool
    charge_ampere: Number
    discharge_ampere: Number
    charge_by: list[str]
    discharge_by: list[str]
    waits_for: str
    cooling_fraction: Number
    balancing_count: int
    balanced_in_second: Number
    authenticity: str
    pack: str
    low_soc_fraction: Number
    high_soc_fraction: Number
    first_trouble: str
    troubles: list[PackTrouble]
    moves: list[PackMove]


class BatteryDetail(_Body):
    """One battery with what its verdict rests on."""

    battery: Battery
    explanation: Explanation | None
    fade: Fade
    forecast: Forecast | None
    findings: list[FindingBody]
    model: Model | None
    pack: PackBody | None = None


class Signals(_Body):
    """A battery's readings over time; null says that there was none."""

    unix_time_second: list[float]
    voltage_volt: Line
    current_ampere: Line
    cell_voltage_low_volt: Line
    cell_voltage_high_volt: Line
    cell_temperature_low_celsius: Line
    cell_temperature_high_celsius: Line
    soc_fraction: Line


class Curve(_Body):
    """One whole charge or discharge of the mean cell: voltage over charge, and its slope."""

    cycle_count: int
    charge_ah: list[float]
    voltage_volt: list[float]
    slope_voltage_volt: list[float]
    slope_ah_per_volt: list[float]


class Curves(_Body):
    """Some of a battery's charges or discharges, oldest first; the slope's smoothing is told."""

    direction: Literal["charge", "discharge"]
    smoothed_volt: float | None
    curves: list[Curve]


class LedgerHead(_Body):
    """The newest head of the ledger; `key` is the verifier key in the form of signed notes."""

    origin: str
    tree_size: int
    root: str
    key: str


class Device(_Body):
    """A device and its newest certificate."""

    device: str
    certificate_sha256: str
    not_after_unix_time_second: float
    revoked: bool
    boot: int
    sequence: int
    batch_count: int
    refused_count: int
    last_seen_unix_time_second: Number


class Refused(_Body):
    """A message that was not believed."""

    unix_time_second: float
    claimed_device: str
    peer: str
    kind: str
    message: str


class Accepted(_Body):
    """A batch that was believed."""

    device: str
    sequence: int
    leaf_index: int
    frame_count: int
    value_count: int
    received_unix_time_second: float


class Trust(_Body):
    """Why to believe the hub: its ledger, its devices, what it refused."""

    ledger: LedgerHead
    accepted_count: int
    refused_count: int
    devices: list[Device]
    refused: list[Refused]
    accepted: list[Accepted]


class Limits(_Body):
    """Bounds below the pack's own; what is left out is left alone."""

    high_charge_current_ampere: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    high_discharge_current_ampere: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    low_soc_fraction: float | None = Field(default=None, ge=0, le=1)
    high_soc_fraction: float | None = Field(default=None, ge=0, le=1)


class PlanBody(_Body):
    """The most power of each direction from each time on."""

    start_unix_time_second: list[float] = Field(max_length=672)
    charge_watt: list[float] = Field(max_length=672)
    discharge_watt: list[float] = Field(max_length=672)


class NewOrder(_Body):
    """An order: one of `limits`, `plan`, `request` and `withdraw`.

    It begins now if no time is given; `withdraw` takes an earlier order of that kind back.
    """

    limits: Limits | None = None
    plan: PlanBody | None = None
    request: Literal["standby", "balance", "charge"] | None = None
    withdraw: Literal["limits", "plan", "request"] | None = None
    starts_unix_time_second: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    lasts_second: float = Field(gt=0, le=7 * 86_400)


class SignedOrder(_Body):
    """An order that whoever brings it has signed, and the certificate, in base64."""

    order: str = Field(max_length=24_000)
    certificate: str = Field(max_length=8_000)


class OrderEvent(_Body):
    """What became of an order: a device's own word, or `delivered`, which is the hub's."""

    issuer: str
    sequence: int
    digest: str
    event: str
    message: str
    count: int
    unix_time_second: float


class OrderBody(_Body):
    """An order and how it stands: waiting, delivered, obeyed, over, or why it was refused."""

    issuer: str
    sequence: int
    kind: str
    role: str
    actor: str
    model_digest: str
    body: dict[str, Any]
    issued_unix_time_second: float
    starts_unix_time_second: float
    expires_unix_time_second: float
    digest: str
    state: str
    message: str


class Orders(_Body):
    """Orders to a battery, newest first, and refusals of orders that no hub here has given.

    `next_sequence` is that of whoever asks with a certificate.
    """

    orders: list[OrderBody]
    strange: list[OrderEvent]
    next_sequence: int


class Counts(_Body):
    """How far the ledger has come."""

    tree_size: int
    accepted_count: int
    refused_count: int


class FirstBad(_Body):
    """The first entry that does not hold."""

    device: str
    sequence: int
    leaf_index: int
    reason: str


class Verification(_Body):
    """What checking the whole store against its ledger gave."""

    ok: bool
    device_count: int
    batch_count: int
    frame_count: int
    value_count: int
    tree_size: int
    root: str
    first_bad: FirstBad | None
    second: float
