/** Numbers and times as a person reads them: unit beside the number, no more digits than are true. */

export const GAP = '\u00a0';
const LOCALE = 'en-GB';
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

export function fixed(value: number, digits: number, signed = false): string {
  return new Intl.NumberFormat(LOCALE, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    signDisplay: signed ? 'exceptZero' : 'negative',
  })
    .format(value)
    .replace('-', '−');
}

const fourDigits = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 4 });

/** Four digits, or all of a whole number's. */
const significant = (value: number): string =>
  Math.abs(value) >= 1000 ? fixed(value, 0) : fourDigits.format(value).replace('-', '−');

export const count = (value: number): string => fixed(value, 0);
export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)}${GAP}${value === 1 ? one : many}`;

export const percent = (fraction: number, digits = 1): string =>
  `${fixed(fraction * 100, digits)}${GAP}%`;
export const percentRange = (low: number, high: number, digits = 1): string =>
  `${fixed(low * 100, digits)}–${percent(high, digits)}`;

const voltDigits = (volt: number): number =>
  Math.abs(volt) < 10 ? 3 : Math.abs(volt) < 100 ? 2 : 1;
export const volt = (value: number): string => `${fixed(value, voltDigits(value))}${GAP}V`;
export const ampere = (value: number): string =>
  `${fixed(value, Math.abs(value) < 100 ? 2 : 1, true)}${GAP}A`;
export const celsius = (value: number): string => `${fixed(value, 1)}${GAP}°C`;
export const ampereHour = (value: number): string =>
  `${fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0)}${GAP}Ah`;

/** State of charge with its standard deviation; digits that the deviation drowns are left out. */
export function charge(fraction: number, std: number | null): string {
  if (std === null) return percent(fraction, 0);
  const digits = std < 0.01 ? 1 : 0;
  return `${fixed(fraction * 100, digits)}${GAP}±${GAP}${percent(Math.max(std, 0.001), digits)}`;
}

/** The step that an interval of this width leaves worth printing: 1, 10, 100, ... */
function worthwhile(width: number): number {
  return width > 0 ? Math.max(1, 10 ** (Math.floor(Math.log10(width)) - 1)) : 1;
}

export function cycles(
  value: number,
  low: number,
  high: number,
): { middle: string; range: string } {
  const step = worthwhile(high - low);
  const round = (number: number) => count(Math.round(number / step) * step);
  return { middle: round(value), range: `${round(low)}–${round(high)}` };
}

/** How long, in the two largest units. */
export function span(second: number): string {
  const whole = Math.max(0, Math.round(second));
  const parts = (large: number, small: number, names: [string, string]) => {
    const rest = Math.floor((whole % large) / small);
    const head = `${Math.floor(whole / large)}${GAP}${names[0]}`;
    return rest ? `${head} ${rest}${GAP}${names[1]}` : head;
  };
  if (whole < MINUTE) return `${whole}${GAP}s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}${GAP}min`;
  return whole < DAY ? parts(HOUR, MINUTE, ['h', 'min']) : parts(DAY, HOUR, ['d', 'h']);
}

const sameDay = new Intl.DateTimeFormat(LOCALE, { timeStyle: 'medium' });
const otherDay = new Intl.DateTimeFormat(LOCALE, {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
});
const dayOnly = new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium' });

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

export function local(unixSecond: number, nowSecond: number): string {
  const date = new Date(unixSecond * 1000);
  const today = date.toDateString() === new Date(nowSecond * 1000).toDateString();
  return (today ? sameDay : otherDay).format(date);
}

export const day = (unixSecond: number): string => dayOnly.format(new Date(unixSecond * 1000));

export function utc(unixSecond: number): string {
  return new Date(unixSecond * 1000)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC');
}

export const iso = (unixSecond: number): string => new Date(unixSecond * 1000).toISOString();

const UNITS: Record<string, string> = {
  volt: 'V',
  ampere: 'A',
  celsius: '°C',
  second: 's',
  ah: 'Ah',
  wh: 'Wh',
  ohm: 'Ω',
  watt: 'W',
};

/** A name without its unit, as words: `cell_voltage_low_volt` is "cell voltage low". */
export function words(name: string): string {
  const parts = name.split('_');
  const last = parts.at(-1) ?? '';
  if (parts.length > 1 && (last in UNITS || last === 'fraction')) parts.pop();
  return parts.join(' ').replace(/\bso([ch])\b/g, (_, kind: string) => `SO${kind.toUpperCase()}`);
}

/** A number under its name, with the unit that the name ends in. */
export function reading(name: string, value: number | null): string {
  if (value === null) return 'no reading';
  if (name.endsWith('unix_time_second')) return local(value, 0);
  const suffix = name.split('_').at(-1) ?? '';
  if (suffix === 'fraction') return percent(value);
  if (suffix === 'count') return count(value);
  const size = Math.abs(value);
  const text =
    size > 0 && size < 0.001 ? value.toExponential(2).replace(/-/g, '−') : significant(value);
  return suffix in UNITS ? `${text}${GAP}${UNITS[suffix]}` : text;
}
