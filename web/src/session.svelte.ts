/** Who is signed in. */

import { ask, carry, inWords, onSignedOut, Refusal, tell } from './api';
import type { Account, Role } from './contract';
import { live } from './live.svelte';
import { route } from './route.svelte';

// The cookie cannot be seen from here; this says whether there can be one, so that a first visit
// does not begin with a refusal in the log.
const KEY = 'cellwarden-signed-in';

function remember(signedIn: boolean): void {
  try {
    if (signedIn) localStorage.setItem(KEY, 'yes');
    else localStorage.removeItem(KEY);
  } catch {
    // storage may be forbidden; then the hub is asked each time
  }
}

function mayBeSignedIn(): boolean {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return true;
  }
}

class Session {
  account = $state.raw<Account | null>(null);
  state = $state<'asking' | 'out' | 'in' | 'unreachable'>('asking');
  ended = $state(false); // it was there, and the hub ended it
  problem = $state('');

  constructor() {
    onSignedOut(() => this.#leave(true));
  }

  /** Takes up the session that the cookie may still name. */
  async resume(): Promise<void> {
    if (!mayBeSignedIn()) {
      this.state = 'out';
      return;
    }
    this.state = 'asking';
    try {
      this.#enter(await ask<Account>('/api/session'));
    } catch (problem) {
      const out = problem instanceof Refusal && problem.status === 401;
      if (out) remember(false);
      this.ended = out;
      this.problem = inWords(problem);
      this.state = out ? 'out' : 'unreachable';
    }
  }

  async signIn(user: string, password: string): Promise<void> {
    const account = await tell<Account>('/api/session', 'POST', { user, password });
    route.moves += 1;
    this.#enter(account);
  }

  async signOut(): Promise<void> {
    await tell('/api/session', 'DELETE');
    this.#leave(false);
  }

  holds(...roles: Role[]): boolean {
    return this.account !== null && roles.includes(this.account.role);
  }

  #enter(account: Account): void {
    carry(account.csrf);
    remember(true);
    this.account = account;
    this.ended = false;
    this.state = 'in';
    live.start();
  }

  #leave(ended: boolean): void {
    if (this.state !== 'in') return;
    live.stop();
    route.moves += 1;
    carry('');
    remember(false);
    this.account = null;
    this.ended = ended;
    this.state = 'out';
  }
}

export const session = new Session();
