/** Axes that all plots share. */

import type uPlot from 'uplot';
import type { Ink } from './ink';

const NONE = [null, null, null, null, null, null, 1] as const;
const DAY = '\n{D} {MMM}';

// Each row: the step from which it holds, the label, and what a new year, month, day, ... adds.
const TIMES = [
  [86_400 * 28, '{MMM} {YYYY}', ...NONE],
  [86_400, '{D} {MMM}', '\n{YYYY}', null, null, null, null, null, 1],
  [60, '{HH}:{mm}', DAY, null, DAY, null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', DAY, null, DAY, null, null, null, 1],
] as uPlot.Axis.Values;

/** Room around the plot; null leaves it to the axes. */
export const PADDING: uPlot.Padding = [7, 14, null, null];

const numbers = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 6 });
const tick = (value: number): string => numbers.format(value).replace('-', '−');

const plain = (ink: Ink): uPlot.Axis => ({
  stroke: ink.soft,
  font: ink.font,
  grid: { stroke: ink.line, width: 1 },
  ticks: { stroke: ink.line, width: 1, size: 4 },
});

/** Time along the bottom; `labelled` only where no other plot below carries the same axis. */
export const timeAxis = (ink: Ink, labelled: boolean): uPlot.Axis => ({
  ...plain(ink),
  space: 76,
  size: labelled ? 38 : 6,
  values: labelled ? TIMES : () => [],
});

export const countAxis = (ink: Ink): uPlot.Axis => ({
  ...plain(ink),
  space: 60,
  size: 28,
  incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
});

export const valueAxis = (ink: Ink): uPlot.Axis => ({
  ...plain(ink),
  space: 22,
  size: 48,
  gap: 4,
  values: (_, splits) => splits.map(tick),
});

/** The range of the values with air around it, never so narrow that noise looks like news. */
export function airy(least: number): uPlot.Range.Function {
  return (_, low, high) => {
    if (low === null || high === null) return [0, 1];
    const middle = (low + high) / 2;
    const half = Math.max((high - low) * 0.56, least / 2);
    return [middle - half, middle + half];
  };
}
