// Starts the page: mounts the application into the document.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element with the id root");
createRoot(root).render(
  <StrictMode>
    <h1>Paceline</h1>
  </StrictMode>,
);
