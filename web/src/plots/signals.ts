/** What the signals panel draws: five pictures over one time axis. */

import type uPlot from 'uplot';
import type { Column, Signals } from '../contract';
import { ampere, celsius, GAP, percent, volt } from '../format';
import { airy, PADDING, timeAxis, valueAxis } from './axes';
import { thin, type Ink } from './ink';

type Name = Exclude<keyof Signals, 'unix_time_second'>;

export interface Panel {
  title: string;
  names: [Name] | [low: Name, high: Name];
  colour: 'accent' | 'second';
  least: number; // the narrowest range worth showing, in the signal's own unit
  show: (value: number) => string;
  scale: number; // from what is stored to what is drawn
}

export const PANELS: Panel[] = [
  {
    title: 'Pack voltage',
    names: ['voltage_volt'],
    colour: 'accent',
    least: 0.1,
    show: volt,
    scale: 1,
  },
  {
    title: 'Current',
    names: ['current_ampere'],
    colour: 'second',
    least: 0.2,
    show: ampere,
    scale: 1,
  },
  {
    title: 'Cell voltage, lowest to highest',
    names: ['cell_voltage_low_volt', 'cell_voltage_high_volt'],
    colour: 'accent',
    least: 0.02,
    show: volt,
    scale: 1,
  },
  {
    title: 'Cell temperature, coolest to hottest',
    names: ['cell_temperature_low_celsius', 'cell_temperature_high_celsius'],
    colour: 'second',
    least: 2,
    show: celsius,
    scale: 1,
  },
  {
    title: 'Charge',
    names: ['soc_fraction'],
    colour: 'accent',
    least: 10,
    show: (value) => percent(value, 1),
    scale: 100,
  },
];

export function dataOf(panel: Panel, signals: Signals): uPlot.AlignedData {
  const scaled = (column: Column) =>
    panel.scale === 1 ? column : column.map((value) => value && value * panel.scale);
  return [signals.unix_time_second, ...panel.names.map((name) => scaled(signals[name]))];
}

/** What a panel says at one row; null where nothing was read. */
export function readingAt(panel: Panel, signals: Signals, index: number): string | null {
  const values = panel.names.map((name) => signals[name][index] ?? null);
  const [low, high = null] = values;
  if (low === null || low === undefined) return null;
  if (high === null) return panel.show(low);
  const bare = panel.show(low).split(GAP)[0];
  return `${bare}–${panel.show(high)}`;
}

export interface Extent {
  low: number;
  high: number;
  lastIndex: number;
  gapCount: number;
}

/** Least, greatest, latest and the number of gaps; null where nothing was read at all. */
export function extentOf(panel: Panel, signals: Signals): Extent | null {
  const extent: Extent = { low: Infinity, high: -Infinity, lastIndex: -1, gapCount: 0 };
  for (const name of panel.names) {
    signals[name].forEach((value, index) => {
      if (value === null) return;
      extent.low = Math.min(extent.low, value);
      extent.high = Math.max(extent.high, value);
      extent.lastIndex = Math.max(extent.lastIndex, index);
    });
  }
  const first = signals[panel.names[0]];
  first.forEach((value, index) => {
    if (value === null && index > 0 && first[index - 1] !== null) extent.gapCount += 1;
  });
  return extent.lastIndex < 0 ? null : extent;
}

/** The drawing of a panel; `reach` is what the x axis spans, read anew at each drawing. */
export function drawing(panel: Panel, group: string, reach: () => [number, number]) {
  const lowest = panel === PANELS.at(-1);
  return (ink: Ink): Omit<uPlot.Options, 'width' | 'height'> => {
    const stroke = ink[panel.colour];
    return {
      scales: { x: { time: true, range: reach }, y: { range: airy(panel.least) } },
      padding: PADDING,
      axes: [timeAxis(ink, lowest), valueAxis(ink)],
      series: [
        {},
        ...panel.names.map(() => ({
          stroke,
          width: 1.4,
          points: { show: false },
          spanGaps: false,
        })),
      ],
      ...(panel.names.length === 2
        ? { bands: [{ series: [2, 1] as [number, number], fill: thin(stroke, 0.24) }] }
        : {}),
      cursor: {
        sync: { key: group },
        drag: { x: true, y: false, setScale: false },
        points: { size: 7 },
      },
    };
  };
}
