// What a browser without a login sees: where the token is, and a field for it.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { isUnauthorized, sentenceOf } from "@/lib/api";
import { logIn } from "./api";

function messageOf(error: unknown): string {
  return isUnauthorized(error) ? "This token is not the server's. Copy the whole of it." : sentenceOf(error);
}

/** After a login everything is read anew. */
export function LoginPage() {
  const client = useQueryClient();
  const [token, setToken] = useState("");
  const login = useMutation({ mutationFn: logIn, onSuccess: () => client.resetQueries() });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (token.trim()) login.mutate(token.trim());
  };
  return (
    <main className="mx-auto mt-[12vh] w-full max-w-[460px] p-4">
      <form className="panel grid gap-4 p-6" onSubmit={submit}>
        <div>
          <h1>Log in to Paceline</h1>
          <p className="mt-1 text-ink-2">
            Open the address that <code className="mono">paceline serve</code> printed: it holds the login. Or paste the
            token here; it stands in the file <code className="mono">token</code> of the data directory.
          </p>
        </div>
        <div>
          <label className="label" htmlFor="token">
            Token
          </label>
          <input
            id="token"
            className="field mono"
            type="password"
            autoComplete="off"
            required
            value={token}
            onChange={(event) => setToken(event.target.value)}
            aria-invalid={login.isError}
            aria-describedby="token-error"
          />
          <p id="token-error" className="field-error" role="alert">
            {login.isError && messageOf(login.error)}
          </p>
        </div>
        <button type="submit" className="btn btn-primary justify-self-start" disabled={login.isPending}>
          Log in
        </button>
      </form>
    </main>
  );
}
