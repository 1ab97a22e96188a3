// The frame around every page: side bar, main column, keys that work everywhere, and the login in their place.
import { useQuery } from "@tanstack/react-query";
import { Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { Loading, Notice } from "@/components/notice";
import { HealthBanner } from "@/features/health/health-banner";
import { sessionOptions } from "@/features/session/api";
import { LoginPage } from "@/features/session/login-page";
import { sentenceOf } from "@/lib/api";
import { useShortcuts } from "@/lib/keys";
import { useLiveFeed } from "./live";
import { SideBar } from "./side-bar";

// Rarely opened, and its dialog is the largest part of the frame.
const KeysDialog = lazy(async () => ({ default: (await import("./keys-dialog")).KeysDialog }));

/** Moves the focus to the new page after a step within the site, so that keyboard and screen reader follow. */
function useFocusOnMove() {
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const last = useRef(pathname);
  useEffect(() => {
    if (last.current !== pathname) main.current?.focus({ preventScroll: true });
    last.current = pathname;
  }, [pathname]);
  return main;
}

function Frame() {
  useLiveFeed();
  const main = useFocusOnMove();
  const navigate = useNavigate();
  const [keysOpen, setKeysOpen] = useState(false);
  useShortcuts({
    c: () => navigate({ to: "/new" }),
    r: () => navigate({ to: "/runs" }),
    "?": () => setKeysOpen(true),
  });
  return (
    <div className="frame">
      <a className="btn skip-link" href="#main">
        Skip to the page
      </a>
      <SideBar onKeys={() => setKeysOpen(true)} />
      <main id="main" ref={main} tabIndex={-1}>
        <HealthBanner />
        <Outlet />
      </main>
      {keysOpen && (
        <Suspense>
          <KeysDialog open onOpenChange={setKeysOpen} />
        </Suspense>
      )}
    </div>
  );
}

export function Layout() {
  const session = useQuery(sessionOptions);
  if (session.data === "signed-in") return <Frame />;
  if (session.data === "signed-out") return <LoginPage />;
  return (
    <main className="p-6">
      <h1>Paceline</h1>
      {session.isError ? <Notice tone="bad">{sentenceOf(session.error)}</Notice> : <Loading what="the page" />}
    </main>
  );
}
