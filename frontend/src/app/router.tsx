// All addresses of the page. Each page is loaded when it is first shown.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { readRunSearch } from "@/features/run/search";
import { readFilters } from "@/features/runs/filters";
import { Layout } from "./layout";
import { Lost } from "./lost";

const root = createRootRoute({ component: Layout, notFoundComponent: Lost });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/runs", replace: true });
  },
});

const runs = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  validateSearch: readFilters,
  component: lazyRouteComponent(() => import("@/features/runs/runs-page"), "RunsPage"),
});

const run = createRoute({
  getParentRoute: () => root,
  path: "/runs/$runId",
  validateSearch: readRunSearch,
  component: lazyRouteComponent(() => import("@/features/run/run-page"), "RunPage"),
});

const newRun = createRoute({
  getParentRoute: () => root,
  path: "/new",
  validateSearch: (search: Record<string, unknown>): { template?: string } =>
    typeof search.template === "string" ? { template: search.template } : {},
  component: lazyRouteComponent(() => import("@/features/new-run/new-run-page"), "NewRunPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([home, runs, run, newRun]),
  basepath: "/ui",
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
