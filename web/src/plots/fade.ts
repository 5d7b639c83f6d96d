/** The fade of capacity over cycles: what was measured, what is estimated, what is forecast. */

import type uPlot from 'uplot';
import type { Column, Fade, Forecast } from '../contract';
import { airy, countAxis, PADDING, valueAxis } from './axes';
import { thin, type Ink } from './ink';

/** Columns on one axis of cycles, in percent; null where a column says nothing. */
export function fadeData(fade: Fade, forecast: Forecast | null): uPlot.AlignedData {
  const ahead = forecast?.cycle_count ?? [];
  const named = [...fade.cycle_count, ...ahead].filter((cycle) => cycle !== null);
  const axis = [...new Set(named)].sort((a, b) => a - b);
  const row = new Map(axis.map((cycle, index) => [cycle, index]));
  const spread = (cycles: Column, column: Column): Column => {
    const wide: Column = axis.map(() => null);
    cycles.forEach((cycle, index) => {
      const value = column[index];
      const place = cycle === null ? undefined : row.get(cycle);
      if (typeof value === 'number' && place !== undefined) wide[place] = value * 100;
    });
    return wide;
  };
  return [
    axis,
    spread(fade.cycle_count, fade.estimate),
    spread(fade.cycle_count, fade.low),
    spread(fade.cycle_count, fade.high),
    spread(ahead, forecast?.soh_fraction ?? []),
    spread(ahead, forecast?.low ?? []),
    spread(ahead, forecast?.high ?? []),
    spread(fade.cycle_count, fade.soh_fraction),
  ];
}

function limit(ink: Ink, percent: number) {
  return (plot: uPlot) => {
    const { ctx, bbox } = plot;
    const y = Math.round(plot.valToPos(percent, 'y', true)) + 0.5;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = ink.alarm;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = ink.font.replace('11px', `${11 * devicePixelRatio}px`);
    ctx.textAlign = 'left';
    ctx.textBaseline = 'bottom';
    ctx.fillText(`End of life, ${percent} %`, bbox.left + 6 * devicePixelRatio, y - 2);
    ctx.restore();
  };
}

const edge = { stroke: 'transparent', width: 0, points: { show: false } };

/** The drawing; `endOfLifePercent` is marked, and kept in view, where it is known. */
export function fadeDrawing(endOfLifePercent: number | null) {
  return (ink: Ink): Omit<uPlot.Options, 'width' | 'height'> => ({
    scales: {
      x: { time: false },
      y: {
        range: (plot, low, high, key) =>
          airy(6)(plot, Math.min(low ?? Infinity, endOfLifePercent ?? Infinity), high, key),
      },
    },
    padding: PADDING,
    axes: [countAxis(ink), valueAxis(ink)],
    series: [
      {},
      { stroke: ink.accent, width: 2, points: { show: false }, spanGaps: true },
      edge,
      edge,
      { stroke: ink.second, width: 2, dash: [6, 4], points: { show: false }, spanGaps: true },
      edge,
      edge,
      {
        stroke: ink.ink,
        paths: () => null,
        points: { show: true, size: 5, width: 1, fill: ink.sheet, stroke: ink.ink },
      },
    ],
    bands: [
      { series: [3, 2], fill: thin(ink.accent, 0.2) },
      { series: [6, 5], fill: thin(ink.second, 0.18) },
    ],
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    hooks: { draw: endOfLifePercent === null ? [] : [limit(ink, endOfLifePercent)] },
  });
}
