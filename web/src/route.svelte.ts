/** Which page an address names. The address is the state: it can be kept, sent and gone back to. */

const PAGES = { '/': 'fleet', '/trust': 'trust', '/account': 'account' } as const;

export type Place =
  { page: 'battery'; device: string } | { page: (typeof PAGES)[keyof typeof PAGES] | 'missing' };

export function placeOf(path: string): Place {
  const battery = /^\/battery\/([^/]+)$/.exec(path);
  if (battery?.[1]) {
    try {
      return { page: 'battery', device: decodeURIComponent(battery[1]) };
    } catch {
      return { page: 'missing' };
    }
  }
  return { page: path in PAGES ? PAGES[path as keyof typeof PAGES] : 'missing' };
}

export const addressOf = (device: string): string => `/battery/${encodeURIComponent(device)}`;

class Route {
  place = $state.raw<Place>(placeOf(location.pathname));
  moves = $state(0); // tells a move from the first look, so that focus follows only a move

  constructor() {
    addEventListener('popstate', () => this.#look());
    document.addEventListener('click', (click) => this.#follow(click));
  }

  #look(): void {
    this.place = placeOf(location.pathname);
    this.moves += 1;
  }

  #follow(click: MouseEvent): void {
    const plain = !(click.ctrlKey || click.metaKey || click.shiftKey || click.altKey);
    const link = (click.target as Element | null)?.closest('a');
    if (!link || !plain || click.button !== 0 || click.defaultPrevented) return;
    const ours = link.origin === location.origin && !link.pathname.startsWith('/api/');
    if (!ours || link.hasAttribute('download') || link.target || link.hash) return;
    click.preventDefault();
    if (link.pathname !== location.pathname) history.pushState(null, '', link.pathname);
    this.#look();
    scrollTo(0, 0);
  }
}

export const route = new Route();

/** For a page's heading: a reader who moves by keyboard or ear begins there after each move. */
export function arrive(heading: HTMLElement): void {
  if (route.moves > 0) heading.focus();
}
