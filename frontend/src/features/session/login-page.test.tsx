// The login: the token in the address, and the page for those who have none.
import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { renderAt } from "@/test/render";
import { problem, server, url } from "@/test/server";
import { logInFromAddress, tokenIn } from "./api";
import { LoginPage } from "./login-page";

it("finds the token in the address only where there is one", () => {
  expect(tokenIn("#token=abc")).toBe("abc");
  expect(tokenIn("#token=")).toBeNull();
  expect(tokenIn("#section")).toBeNull();
  expect(tokenIn("")).toBeNull();
});

it("exchanges the token of the address once and takes it out of the address", async () => {
  const bodies: unknown[] = [];
  server.use(
    http.post(url("/login"), async ({ request }) => {
      bodies.push(await request.json());
      return new HttpResponse(null, { status: 204 });
    }),
  );
  history.replaceState(null, "", "/ui/runs?q=x#token=secret");
  await logInFromAddress();
  await logInFromAddress();
  expect(bodies).toEqual([{ token: "secret" }]);
  expect(location.href).toBe(url("/ui/runs?q=x"));
});

it("removes the token from the address even when the server does not answer", async () => {
  server.use(http.post(url("/login"), () => HttpResponse.error()));
  history.replaceState(null, "", "/ui/#token=secret");
  await logInFromAddress();
  expect(location.hash).toBe("");
});

it("says that a token is wrong, and lets go when it is right", async () => {
  const tokens = ["right"];
  server.use(
    http.post(url("/login"), async ({ request }) => {
      const { token } = (await request.json()) as { token: string };
      return tokens.includes(token) ? new HttpResponse(null, { status: 204 }) : problem(401, "unauthorized", "No.");
    }),
  );
  const { client } = renderAt({ path: "/", address: "/" }, <LoginPage />);
  client.setQueryData(["session"], "signed-out");
  await userEvent.type(await screen.findByLabelText("Token"), "wrong{Enter}");
  expect(await screen.findByText(/This token is not the server's/)).toBeInTheDocument();
  await userEvent.clear(screen.getByLabelText("Token"));
  await userEvent.type(screen.getByLabelText("Token"), "right{Enter}");
  await waitFor(() => expect(client.getQueryData(["session"])).toBeUndefined());
});
