/** Light, dark, or as the system says; the choice stays on this machine. */

const CHOICES = ['system', 'light', 'dark'] as const;
type Choice = (typeof CHOICES)[number];

const KEY = 'cellwarden-theme';

function kept(): Choice {
  try {
    const choice = localStorage.getItem(KEY);
    return CHOICES.find((one) => one === choice) ?? 'system';
  } catch {
    return 'system'; // storage may be forbidden; the choice then lasts as long as the page
  }
}

class Theme {
  choice = $state<Choice>(kept());
  #system = matchMedia('(prefers-color-scheme: dark)');
  #systemDark = $state(this.#system.matches);
  dark = $derived(this.choice === 'system' ? this.#systemDark : this.choice === 'dark');

  constructor() {
    this.#show();
    this.#system.addEventListener('change', (change) => (this.#systemDark = change.matches));
  }

  get next(): Choice {
    return CHOICES[(CHOICES.indexOf(this.choice) + 1) % CHOICES.length] ?? 'system';
  }

  turn(): void {
    this.choice = this.next;
    this.#show();
    try {
      localStorage.setItem(KEY, this.choice);
    } catch {
      // as in kept()
    }
  }

  #show(): void {
    if (this.choice === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.choice;
  }
}

export const theme = new Theme();
