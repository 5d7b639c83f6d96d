/** The hub's time, once a second: ages on screen are true even where this machine's clock is not. */

class Clock {
  nowSecond = $state(Date.now() / 1000);
  #ahead = 0;

  constructor() {
    setInterval(() => this.#tick(), 1000);
  }

  set(hubSecond: number): void {
    this.#ahead = hubSecond - Date.now() / 1000;
    this.#tick();
  }

  /** A time of this machine's clock, by the hub's. */
  fromHere(second: number): number {
    return second + this.#ahead;
  }

  #tick(): void {
    this.nowSecond = Date.now() / 1000 + this.#ahead;
  }
}

export const clock = new Clock();
