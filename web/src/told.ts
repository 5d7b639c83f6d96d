/** An estimate counts as told only when all of its numbers are: half an interval is none. */

import type { Battery, Health, Life, Raw } from './contract';

function whole<T extends object>(raw: Raw<T> | null): T | null {
  return raw && Object.values(raw).every((value) => value !== null) ? (raw as T) : null;
}

export const healthOf = (battery: Battery): Health | null => whole<Health>(battery.health);
export const lifeOf = (battery: Battery): Life | null => whole<Life>(battery.life);

const LATE_SECOND = 600;

/** Its readings were old already when they came: a record that is sent again, or sent late. */
export const fromRecord = (battery: Battery): boolean =>
  battery.last_seen_unix_time_second - battery.last_sample_unix_time_second > LATE_SECOND;
