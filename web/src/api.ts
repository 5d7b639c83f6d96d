/** One way to ask the hub: same origin, JSON, the session's token on everything that changes. */

export class Refusal extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly hint: string = '',
    readonly retryAfterSecond: number | null = null,
  ) {
    super(message);
  }
}

let token = '';
let whenSignedOut = () => {};

/** The token that the session gave; '' when there is no session. */
export function carry(csrf: string): void {
  token = csrf;
}

/** What to do when the hub says that the session is over. */
export function onSignedOut(act: () => void): void {
  whenSignedOut = act;
}

async function refusalOf(response: Response): Promise<Refusal> {
  const wait = Number(response.headers.get('Retry-After'));
  let message = `The hub answered ${response.status}.`;
  let hint = '';
  try {
    const body = (await response.json()) as { message?: string; hint?: string };
    message = body.message || message;
    hint = body.hint ?? '';
  } catch {
    // Something between us and the hub may answer in its own words; the status is enough then.
  }
  return new Refusal(message, response.status, hint, wait > 0 ? wait : null);
}

/** The hub's answer, whatever its shape. Throws a Refusal for anything but success. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (!headers.has('Accept')) headers.set('Accept', 'application/json');
  if (init.method && init.method !== 'GET') headers.set('X-CSRF-Token', token);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: 'no-store' });
  } catch (problem) {
    if (init.signal?.aborted) throw problem;
    throw new Refusal('The hub cannot be reached.', 0, 'Check the network; nothing was changed.');
  }
  if (response.ok) return response;
  if (response.status === 401 && path !== '/api/session') whenSignedOut();
  throw await refusalOf(response);
}

export async function ask<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await send(path, signal ? { signal } : {})).json() as Promise<T>;
}

export async function tell<T>(path: string, method: 'POST' | 'DELETE', body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { 'Content-Type': 'application/json' };
  }
  const response = await send(path, init);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** A problem in words for a person, with what to do where the hub said so. */
export function inWords(problem: unknown): string {
  if (problem instanceof Refusal) return [problem.message, problem.hint].filter(Boolean).join(' ');
  return problem instanceof Error ? problem.message : String(problem);
}
