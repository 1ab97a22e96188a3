// The side bar: where one can go, and the state of things at its foot.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Key } from "@/components/key";
import { Lamps } from "@/features/health/lamps";
import { logOut } from "@/features/session/api";
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

function LogOut() {
  const client = useQueryClient();
  const leave = useMutation({ mutationFn: logOut, onSuccess: () => client.resetQueries() });
  return (
    <button type="button" className="hover:text-ink" onClick={() => leave.mutate()}>
      {leave.isError ? "log out (failed)" : "log out"}
    </button>
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
        <ThemeSwitch />
        <div className="flex flex-wrap gap-x-4">
          <button type="button" className="wide-only side-foot-line hover:text-ink" onClick={onKeys}>
            <Key>?</Key> keys
          </button>
          <LogOut />
        </div>
      </div>
    </nav>
  );
}
