/**
 * What the hub says, as its HTTP contract names it. Every number's name ends in its unit; one that
 * is not finite comes as null.
 */

export type Role = 'viewer' | 'operator' | 'analyst' | 'auditor' | 'administrator';

export interface Account {
  user: string;
  role: Role;
  csrf: string;
}

/** An account as the list of accounts has it. */
export interface Person {
  user: string;
  role: Role;
  created_unix_time_second: number;
}

export interface ShownAccount {
  user: string;
  role: Role;
  password: string;
}

export type Severity = 'INFO' | 'WARNING' | 'ALARM';

export interface Finding {
  kind: string;
  severity: Severity;
  signal: string;
  item: number;
  unix_time_second: number | null;
  last_unix_time_second: number | null;
  open: boolean; // the newest that came still shows it
  message: string;
  evidence: Record<string, number | null>;
}

/** A Health or a Life as it comes: any of its numbers may be missing. */
export type Raw<T> = { [name in keyof T]: T[name] | null };

export interface Health {
  soh_fraction: number;
  low: number;
  high: number;
  coverage: number;
  cycle_count: number;
}

export interface Life {
  life_cycle_count: number;
  low: number;
  high: number;
  coverage: number;
  end_of_life_fraction: number;
}

export interface Battery {
  device: string;
  chemistry: string | null;
  series_count: number;
  nominal_capacity_ah: number | null;
  last_seen_unix_time_second: number;
  last_sample_unix_time_second: number;
  stale: boolean;
  frame_count: number;
  voltage_volt: number | null;
  current_ampere: number | null;
  soc_fraction: number | null;
  soc_std_fraction: number | null;
  cell_temperature_celsius: number | null;
  health: Raw<Health> | null;
  health_reason: string | null;
  life: Raw<Life> | null;
  life_reason: string | null;
  worst_finding: Finding | null;
  finding_count: number;
  open_finding_count: number;
  pack_mode: string | null; // of a pack under control
  receipt_id: string | null;
}

export interface Fleet {
  now_unix_time_second: number;
  batteries: Battery[];
}

export interface Explanation {
  base: number | null;
  features: string[];
  values: Column;
  contributions: Column;
}

export type Column = (number | null)[];

export interface Fade {
  cycle_count: Column;
  capacity_ah: Column;
  soh_fraction: Column;
  estimate: Column;
  low: Column;
  high: Column;
}

export interface Forecast {
  cycle_count: Column;
  soh_fraction: Column;
  low: Column;
  high: Column;
}

export interface PackTrouble {
  name: string;
  reaction: string;
  since_unix_time_second: number;
  value: number | null;
  limit: number | null;
  item: number;
  latched: boolean;
}

export interface PackMove {
  unix_time_second: number;
  source: string;
  target: string;
  reason: string;
}

/** How a pack under control stands, by its own newest word; moves newest first. */
export interface Pack {
  unix_time_second: number;
  mode: string;
  plus_closed: boolean;
  minus_closed: boolean;
  precharge_closed: boolean;
  charge_ampere: number | null;
  discharge_ampere: number | null;
  charge_by: string[];
  discharge_by: string[];
  waits_for: string;
  cooling_fraction: number | null;
  balancing_count: number;
  balanced_in_second: number | null;
  authenticity: string;
  pack: string;
  low_soc_fraction: number | null;
  high_soc_fraction: number | null;
  first_trouble: string;
  troubles: PackTrouble[];
  moves: PackMove[];
}

export interface BatteryRecord {
  battery: Battery;
  explanation: Explanation | null;
  fade: Fade;
  forecast: Forecast | null;
  findings: Finding[];
  model: { name: string; digest: string } | null;
  pack: Pack | null;
}

export interface Signals {
  unix_time_second: number[];
  voltage_volt: Column;
  current_ampere: Column;
  cell_voltage_low_volt: Column;
  cell_voltage_high_volt: Column;
  cell_temperature_low_celsius: Column;
  cell_temperature_high_celsius: Column;
  soc_fraction: Column;
}

export interface Curve {
  cycle_count: number;
  charge_ah: number[];
  voltage_volt: number[];
  slope_voltage_volt: number[];
  slope_ah_per_volt: number[];
}

export interface Curves {
  direction: 'charge' | 'discharge';
  smoothed_volt: number | null;
  curves: Curve[];
}

export interface Device {
  device: string;
  certificate_sha256: string;
  not_after_unix_time_second: number;
  revoked: boolean;
  boot: number;
  sequence: number;
  batch_count: number;
  refused_count: number;
  last_seen_unix_time_second: number | null;
}

export interface Refused {
  unix_time_second: number;
  claimed_device: string; // '' where it claimed nothing that could be read
  peer: string;
  kind: string;
  message: string;
}

export interface Accepted {
  device: string;
  sequence: number;
  leaf_index: number;
  frame_count: number;
  value_count: number;
  received_unix_time_second: number;
}

export interface Trust {
  ledger: { origin: string; tree_size: number; root: string; key: string };
  accepted_count: number;
  refused_count: number;
  devices: Device[];
  refused: Refused[];
  accepted: Accepted[];
}

export interface TrustCount {
  tree_size: number;
  accepted_count: number;
  refused_count: number;
}

export interface Verification {
  ok: boolean;
  device_count: number;
  batch_count: number;
  frame_count: number;
  value_count: number;
  tree_size: number;
  root: string;
  first_bad: { device: string; sequence: number; leaf_index: number; reason: string } | null;
  second: number;
}
