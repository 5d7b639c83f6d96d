/**
 * Server-sent events, read with fetch.
 *
 * The browser's EventSource hides the heartbeat, so a line that went silent without closing looks
 * alive for many minutes. Here every byte counts as a sign of life, and silence ends the reading.
 */

import { send } from './api';

const SILENCE_MILLISECOND = 25_000; // two and a half heartbeats

export interface Listener {
  open(): void;
  sign(): void; // anything at all was heard
  event(name: string, data: string): void;
}

function deliver(block: string, listener: Listener): void {
  let name = 'message';
  const data: string[] = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') name = value;
    else if (field === 'data') data.push(value);
  }
  if (data.length) listener.event(name, data.join('\n'));
}

/** Reads until the line ends, falls silent or is given up; how it ended does not matter. */
export async function listen(path: string, listener: Listener, giveUp: AbortSignal): Promise<void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MILLISECOND);
  const sign = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MILLISECOND);
    listener.sign();
  };
  try {
    const response = await send(path, {
      headers: { Accept: 'text/event-stream' },
      signal: AbortSignal.any([giveUp, silence.signal]),
    });
    if (!response.body) return;
    listener.open();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      sign();
      const blocks = (rest + value).split(/\r\n\r\n|\n\n|\r\r/);
      rest = blocks.pop() ?? '';
      for (const block of blocks) deliver(block, listener);
    }
  } finally {
    clearTimeout(timer);
  }
}
