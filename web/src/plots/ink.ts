/** Colours for a canvas, which knows no custom properties: asked of the page, in the theme it has. */

const NAMES = ['ink', 'soft', 'line', 'edge', 'accent', 'second', 'alarm', 'sheet'] as const;
export type Ink = Record<(typeof NAMES)[number] | 'font', string>;

export function inkOf(element: HTMLElement): Ink {
  const before = element.style.color;
  const found = NAMES.map((name) => {
    element.style.color = `var(--${name})`;
    return [name, getComputedStyle(element).color] as const;
  });
  element.style.color = before;
  const font = `11px ${getComputedStyle(element).fontFamily}`;
  return { ...(Object.fromEntries(found) as Omit<Ink, 'font'>), font };
}

/** The same colour, seen through. */
export function thin(colour: string, alpha: number): string {
  const parts = colour.match(/[\d.]+/g)?.slice(0, 3) ?? ['128', '128', '128'];
  return `rgb(${parts.join(' ')} / ${alpha})`;
}
