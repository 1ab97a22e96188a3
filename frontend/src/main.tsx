// Starts the page: uses a login that the address brought, then draws.
import "./styles/index.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { router } from "./app/router";
import { logInFromAddress } from "./features/session/api";
import { createQueryClient } from "./lib/query-client";

const element = document.getElementById("root");
if (!element) throw new Error("index.html has no element with the id root");
const root = createRoot(element);

await logInFromAddress();
root.render(
  <StrictMode>
    <QueryClientProvider client={createQueryClient()}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
