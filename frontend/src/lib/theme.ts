// Light, dark, or as the system has it; public/theme.js applies the stored choice before the page is drawn.

export type Theme = "system" | "light" | "dark";

const KEY = "paceline.theme";

function isTheme(value: string | null): value is Theme {
  return value === "light" || value === "dark";
}

/** The stored choice; the system's theme when there is none or storage is forbidden. */
export function storedTheme(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return isTheme(value) ? value : "system";
  } catch {
    return "system";
  }
}

/** Shows a theme from now on and remembers it. */
export function chooseTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}
