/** Which batteries the fleet page lists, and in which order. */

import type { Battery } from '../contract';
import type { Order } from '../parts/order';
import { healthOf, lifeOf } from '../told';

export type Key = 'device' | 'seen' | 'charge' | 'temperature' | 'health' | 'life' | 'finding';
export type Choice = 'all' | 'attention' | 'stale' | 'untold';

const RANK = { INFO: 1, WARNING: 2, ALARM: 3 } as const;
const rank = (battery: Battery): number =>
  battery.worst_finding?.open ? RANK[battery.worst_finding.severity] : 0;

export const CHOICES: Record<Choice, { name: string; holds: (battery: Battery) => boolean }> = {
  all: { name: 'All', holds: () => true },
  attention: { name: 'Need a look', holds: (battery) => battery.stale || rank(battery) > 1 },
  stale: { name: 'Stale', holds: (battery) => battery.stale },
  untold: { name: 'Health not told', holds: (battery) => healthOf(battery) === null },
};

const VALUES: Record<Key, (battery: Battery) => number | string | null> = {
  device: (battery) => battery.device,
  seen: (battery) => battery.last_seen_unix_time_second,
  charge: (battery) => battery.soc_fraction,
  temperature: (battery) => battery.cell_temperature_celsius,
  health: (battery) => healthOf(battery)?.soh_fraction ?? null,
  life: (battery) => lifeOf(battery)?.life_cycle_count ?? null,
  finding: (battery) => rank(battery) + (battery.stale ? 0.5 : 0),
};

const names = new Intl.Collator('en', { numeric: true });

function compare(a: number | string | null, b: number | string | null, down: boolean): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null); // unknown comes last
  const rising = typeof a === 'string' ? names.compare(a, String(b)) : a - Number(b);
  return down ? -rising : rising;
}

export function arrange(batteries: Battery[], order: Order<Key>, choice: Choice, search: string) {
  const wanted = search.trim().toLowerCase();
  const value = VALUES[order.key];
  return batteries
    .filter(CHOICES[choice].holds)
    .filter((one) => `${one.device} ${one.chemistry ?? ''}`.toLowerCase().includes(wanted))
    .sort((a, b) => compare(value(a), value(b), order.down) || names.compare(a.device, b.device));
}

/** One scale for every row's health, so that the column can be read like a chart. */
export function healthScale(batteries: Battery[]): { from: number; to: number } {
  const told = batteries.flatMap((battery) => healthOf(battery) ?? []);
  const low = Math.min(0.8, ...told.map((health) => health.low));
  const high = Math.max(1, ...told.map((health) => health.high));
  return { from: Math.floor((low - 0.02) * 20) / 20, to: Math.ceil(high * 20) / 20 };
}

/** Kept while the reader looks at another page and comes back. */
export const view = $state({
  order: { key: 'finding', down: true } as Order<Key>,
  choice: 'all' as Choice,
  search: '',
});
