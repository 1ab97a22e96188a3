// Three buttons: light, dark, as the system has it.
import { Monitor, Moon, Sun } from "lucide-react";
import { useState } from "react";
import { chooseTheme, storedTheme, type Theme } from "@/lib/theme";

const CHOICES = [
  { theme: "system", label: "Theme of the system", Icon: Monitor },
  { theme: "light", label: "Light theme", Icon: Sun },
  { theme: "dark", label: "Dark theme", Icon: Moon },
] as const satisfies { theme: Theme; label: string; Icon: typeof Sun }[];

export function ThemeSwitch() {
  const [chosen, setChosen] = useState(storedTheme);
  const choose = (theme: Theme) => {
    chooseTheme(theme);
    setChosen(theme);
  };
  return (
    <fieldset className="theme-switch">
      <legend className="sr-only">Theme</legend>
      {CHOICES.map(({ theme, label, Icon }) => (
        <button
          key={theme}
          type="button"
          title={label}
          aria-label={label}
          aria-pressed={chosen === theme}
          onClick={() => choose(theme)}
        >
          <Icon size={14} aria-hidden="true" />
        </button>
      ))}
    </fieldset>
  );
}
