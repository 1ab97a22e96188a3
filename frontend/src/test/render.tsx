// Draws a part of the page as the application would: with a query cache, a router, and answers of the API.
import { QueryClientProvider } from "@tanstack/react-query";
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  RouterProvider,
} from "@tanstack/react-router";
import { render } from "@testing-library/react";
import type { ReactNode } from "react";
import { createQueryClient } from "@/lib/query-client";

interface At {
  /** The route's own path, such as `/runs/$runId`. */
  path: string;
  /** The address that is open. */
  address: string;
  validateSearch?: (search: Record<string, unknown>) => Record<string, unknown>;
}

/** Draws `children` as the page of one route; other addresses are empty pages. */
export function renderAt({ path, address, validateSearch = (search) => search }: At, children: ReactNode) {
  const root = createRootRoute();
  const page = createRoute({ getParentRoute: () => root, path, validateSearch, component: () => children });
  const rest = createRoute({ getParentRoute: () => root, path: "$", component: () => <p>elsewhere</p> });
  const history = createMemoryHistory({ initialEntries: [address] });
  const router = createRouter({ routeTree: root.addChildren([page, rest]), history });
  const client = createQueryClient();
  client.setDefaultOptions({ queries: { ...client.getDefaultOptions().queries, retry: false } });
  render(
    <QueryClientProvider client={client}>
      {/* biome-ignore lint/suspicious/noExplicitAny: a test's router is not the registered one. */}
      <RouterProvider router={router as any} />
    </QueryClientProvider>,
  );
  return { client, router };
}
