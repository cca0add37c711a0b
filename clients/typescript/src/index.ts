/** A typed client of a MEGAHUB: every path, parameter, body and answer is that of its OpenAPI document. */
import createClient, { type Client, type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, operations, paths } from "./schema.js";

/** What a refused request on `/ai/…` and `/auth/…` says; `error_code` never changes. */
export type HubErrorBody = components["schemas"]["Error"];

export interface Options {
  /** Where the hub is, without a slash at its end. */
  baseUrl: string;
  /** An access token or an API key; a function is asked before each request. */
  token?: string | (() => string | Promise<string>);
  /** The brand to act for, when the user has several. */
  brandId?: number;
  /** `en` or `fr`. */
  language?: string;
  fetch?: (request: Request) => Promise<Response>;
}

export type MegaHub = Client<paths>;

export function megahub(options: Options): MegaHub {
  const client = createClient<paths>({
    baseUrl: options.baseUrl,
    ...(options.fetch ? { fetch: options.fetch } : {}),
  });
  client.use(signed(options));
  return client;
}

function signed({ token, brandId, language }: Options): Middleware {
  return {
    async onRequest({ request }) {
      const found = typeof token === "function" ? await token() : token;
      if (found) request.headers.set("Authorization", `Bearer ${found}`);
      if (brandId !== undefined) request.headers.set("X-Brand-ID", String(brandId));
      if (language) request.headers.set("Accept-Language", language);
      return request;
    },
  };
}

/** The events of a stream (`"stream": true` with `parseAs: "stream"`), each as it was sent. */
export async function* events(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let waiting = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      waiting += decoder.decode(value, { stream: true });
      const parts = waiting.split("\n\n");
      waiting = parts.pop() ?? "";
      for (const part of parts) {
        const data = part
          .split("\n")
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5).trim())
          .join("\n");
        if (data === "[DONE]") return;
        if (data) yield JSON.parse(data);
      }
    }
  } finally {
    await reader.cancel();
  }
}
