/** Light and dark: as the system has it, or as the reader chooses. */
import { button, element } from './element.ts';

const key = 'echokit-harness-theme';
const themes = ['system', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];

/** Things that are drawn with colors, and drawn again when these change. */
const drawn = new Set<() => void>();

/** @returns stops it */
export function onThemeChange(draw: () => void): () => void {
  drawn.add(draw);
  return () => drawn.delete(draw);
}

export function showTheme(into: HTMLElement): void {
  let theme = kept();
  const label = element('span');
  const switched = button(label, () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length]!;
    keep(theme);
    apply();
  });
  const apply = (): void => {
    document.documentElement.dataset['theme'] = theme;
    label.textContent = `Colors: ${theme === 'system' ? 'as the system' : theme}`;
    known.clear();
    for (const draw of drawn) draw();
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', apply);
  into.append(switched);
  apply();
}

/** A page that was opened from a disk may have nowhere to keep anything. */
function kept(): Theme {
  try {
    return themes.find((theme) => theme === localStorage.getItem(key)) ?? 'system';
  } catch {
    return 'system';
  }
}

function keep(theme: Theme): void {
  try {
    localStorage.setItem(key, theme);
  } catch {
    // It is as it is until the page is closed.
  }
}

const known = new Map<string, string>();
const probe = element('span', { hidden: true });

/** A color of the style sheet as a canvas takes it. */
export function color(name: string): string {
  let found = known.get(name);
  if (found === undefined) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(--${name})`;
    found = getComputedStyle(probe).color;
    known.set(name, found);
  }
  return found;
}
