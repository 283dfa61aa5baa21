import type { Theme } from './ramp';

/** The chosen theme, or the system's. public/theme.js applies the same rule before the first paint. */
export const themeKey = 'aether.theme';

export function currentTheme(): Theme {
  return document.documentElement.dataset.theme === 'light' ? 'light' : 'dark';
}

export function setTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(themeKey, theme);
  } catch {
    // Storage may be forbidden; the choice then holds for this page only.
  }
}
