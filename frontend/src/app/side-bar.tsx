// The side bar: where one can go, and the state of things at its foot.
import { Link } from "@tanstack/react-router";
import { Key } from "@/components/key";
import { Lamps } from "@/features/health/lamps";
import { ThemeSwitch } from "./theme-switch";

function Mark() {
  return (
    <svg
      width="22"
      height="22"
      viewBox="0 0 22 22"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      aria-hidden="true"
    >
      <path d="M2 11h18" />
      <circle cx="5" cy="11" r="2.6" fill="currentColor" />
      <circle cx="11" cy="11" r="2.6" fill="var(--color-bg)" />
      <circle cx="17" cy="11" r="2.6" fill="var(--color-bg)" />
    </svg>
  );
}

export function SideBar({ onKeys }: { onKeys: () => void }) {
  return (
    <nav className="side" aria-label="Main">
      <Link to="/runs" className="side-brand">
        <Mark />
        Paceline
      </Link>
      <Link to="/new" className="btn btn-primary side-new">
        New run <Key>c</Key>
      </Link>
      <Link to="/runs" className="side-link">
        Runs
      </Link>
      <div className="side-foot">
        <Lamps />
        <button type="button" className="wide-only side-foot-line hover:text-ink" onClick={onKeys}>
          <Key>?</Key> keys
        </button>
        <ThemeSwitch />
      </div>
    </nav>
  );
}
