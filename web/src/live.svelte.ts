/** What the hub keeps telling us, and whether it still does. */

import { ask, inWords } from './api';
import { clock } from './clock.svelte';
import type { Fleet, TrustCount } from './contract';
import { listen } from './events';

const FIRST_WAIT_MILLISECOND = 1_000;
const LONGEST_WAIT_MILLISECOND = 15_000;

class Live {
  fleet = $state.raw<Fleet | null>(null);
  trust = $state.raw<TrustCount | null>(null);
  state = $state<'joining' | 'live' | 'lost'>('joining');
  heardSecond = $state(Date.now() / 1000); // this machine's clock: the hub's is out of reach when it matters
  problem = $state('');
  #giveUp: AbortController | null = null;
  #wanted = false;

  /** Begins to listen, and begins again whenever the line is lost, until `stop`. */
  start(): void {
    this.#wanted = true;
    document.addEventListener('visibilitychange', this.#seen);
    addEventListener('offline', this.#cut);
    this.#seen();
  }

  stop(): void {
    this.#wanted = false;
    document.removeEventListener('visibilitychange', this.#seen);
    removeEventListener('offline', this.#cut);
    this.#giveUp?.abort();
    this.#giveUp = null;
    this.fleet = this.trust = null;
    this.state = 'joining';
  }

  /** Takes a fleet from wherever it came. */
  #take(fleet: Fleet): void {
    this.fleet = fleet;
    this.problem = '';
    clock.set(fleet.now_unix_time_second);
  }

  async #ask(giveUp: AbortSignal): Promise<void> {
    try {
      this.#take(await ask<Fleet>('/api/fleet', giveUp));
    } catch (problem) {
      if (!giveUp.aborted) this.problem = inWords(problem);
    }
  }

  // A browser allows few lines to one host: a tab that nobody sees gives its own back.
  #seen = (): void => {
    if (document.hidden) {
      this.#giveUp?.abort();
      this.#giveUp = null;
    } else if (this.#wanted && !this.#giveUp) {
      this.#giveUp = new AbortController();
      void this.#keepListening(this.#giveUp.signal);
    }
  };

  #cut = (): void => {
    if (this.state === 'live') this.state = 'lost';
  };

  async #keepListening(giveUp: AbortSignal): Promise<void> {
    let wait = FIRST_WAIT_MILLISECOND;
    while (!giveUp.aborted) {
      try {
        await listen(
          '/api/events',
          this.#listener(giveUp, () => (wait = FIRST_WAIT_MILLISECOND)),
          giveUp,
        );
      } catch (problem) {
        this.problem = inWords(problem);
      }
      if (giveUp.aborted) return;
      this.state = 'lost';
      // The hub may answer although its events do not come; its silence is no new problem.
      if (!this.fleet) await this.#ask(giveUp);
      await new Promise((resume) => setTimeout(resume, wait * (0.75 + Math.random() / 2)));
      wait = Math.min(wait * 2, LONGEST_WAIT_MILLISECOND);
    }
  }

  #listener(giveUp: AbortSignal, succeeded: () => void) {
    const heard = () => {
      this.heardSecond = Date.now() / 1000;
      this.state = 'live';
    };
    return {
      open: () => {
        succeeded();
        heard();
        // Events tell of changes; what was missed, or never changes, has to be asked for.
        void this.#ask(giveUp);
      },
      sign: heard,
      event: (name: string, data: string) => {
        if (name === 'fleet') this.#take(JSON.parse(data) as Fleet);
        else if (name === 'trust') this.trust = JSON.parse(data) as TrustCount;
      },
    };
  }
}

export const live = new Live();
