/** Voltage over charge, or dQ/dV over voltage: one line a cycle, from early to late. */

import type uPlot from 'uplot';
import type { Curves } from '../contract';
import { airy, PADDING, valueAxis } from './axes';
import type { Ink } from './ink';

export type View = 'voltage' | 'slope';

const GRID_COUNT = 220;

interface Line {
  x: number[];
  y: number[];
}

function linesOf(curves: Curves, view: View): Line[] {
  return curves.curves.map((one) =>
    view === 'voltage'
      ? { x: one.charge_ah, y: one.voltage_volt }
      : { x: one.slope_voltage_volt, y: one.slope_ah_per_volt },
  );
}

/** Linear between points, nothing outside them. */
function at(line: Line, x: number): number | null {
  const { x: xs, y: ys } = line;
  const last = xs.length - 1;
  if (last < 1 || x < xs[0]! || x > xs[last]!) return null;
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle]! <= x) low = middle;
    else high = middle;
  }
  const width = xs[high]! - xs[low]!;
  const part = width > 0 ? (x - xs[low]!) / width : 0;
  return ys[low]! + part * (ys[high]! - ys[low]!);
}

/** All lines on one axis, null where a line has no value. */
export function curveData(curves: Curves, view: View): uPlot.AlignedData {
  const lines = linesOf(curves, view).filter((line) => line.x.length > 1);
  const low = Math.min(...lines.map((line) => line.x[0]!));
  const high = Math.max(...lines.map((line) => line.x.at(-1)!));
  if (!(high > low)) return [[]];
  const grid = Array.from(
    { length: GRID_COUNT },
    (_, index) => low + ((high - low) * index) / (GRID_COUNT - 1),
  );
  return [grid, ...lines.map((line) => grid.map((x) => at(line, x)))];
}

/** A colour between two, as canvas takes it. */
export function between(early: string, late: string, share: number): string {
  return `color-mix(in oklab, ${early} ${Math.round(100 * (1 - share))}%, ${late})`;
}

export function curveDrawing(count: number, view: View) {
  return (ink: Ink): Omit<uPlot.Options, 'width' | 'height'> => ({
    scales: {
      x: { time: false },
      y: { range: view === 'voltage' ? airy(0.2) : (_, __, high) => [0, (high ?? 1) * 1.05] },
    },
    padding: PADDING,
    axes: [{ ...valueAxis(ink), space: 60, size: 28 }, valueAxis(ink)],
    series: [
      {},
      ...Array.from({ length: count }, (_, index) => ({
        stroke: between(ink.accent, ink.second, count > 1 ? index / (count - 1) : 0),
        width: 1.5,
        points: { show: false },
        spanGaps: true,
      })),
    ],
    cursor: { drag: { x: false, y: false }, points: { show: false } },
  });
}
