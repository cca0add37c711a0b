/** Sign in, ask, follow a job, read a stream and a list. CI type-checks this sample against the API. */
import { events, megahub, type HubErrorBody } from "../src/index.js";

const baseUrl = "http://localhost:8000";

export async function signIn(username: string, password: string): Promise<string> {
  const { data, error } = await megahub({ baseUrl }).POST("/auth/token/", {
    body: { username, password },
  });
  if (error) throw new Error(error.detail);
  return data.access;
}

export async function main(): Promise<void> {
  const hub = megahub({ baseUrl, token: await signIn("alice", "…"), language: "fr" });

  // Now.
  const answer = await hub.POST("/ai/openai/chat/", {
    body: { model: "gpt-4o-mini", messages: [{ role: "user", content: "Say hello." }] },
  });
  if (answer.error) {
    // The errors are typed too: which field, and what would be taken instead.
    const refused: HubErrorBody = answer.error;
    console.error(refused.error_code, refused.field_errors, refused.suggestions);
    return;
  }
  if (typeof answer.data === "object" && "usage" in answer.data) console.log(answer.data.usage.cost_usd);

  // As a job, with a key that makes a repetition harmless.
  const job = await hub.POST("/ai/jobs/", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: {
      job_type: "chat_completion",
      priority: "high",
      input_data: { model: "gpt-4o-mini", messages: [{ role: "user", content: "Later." }] },
    },
  });
  if (job.data) {
    const state = await hub.GET("/ai/jobs/{ref}/", { params: { path: { ref: job.data.job_id } } });
    console.log(state.data?.status, state.data?.usage?.total_cost);
  }

  // As a stream.
  const { response } = await hub.POST("/v1/chat/completions", {
    body: { model: "gpt-4o-mini", messages: [{ role: "user", content: "Count." }], stream: true },
    parseAs: "stream",
  });
  if (response.body) for await (const event of events(response.body)) console.log(event);

  // A page of a filtered list.
  const failed = await hub.GET("/ai/jobs/", {
    params: { query: { status: "failed", ordering: "-created_at", page_size: 50 } },
  });
  for (const row of failed.data?.results ?? []) console.log(row.job_id, row.error_message);

  // @ts-expect-error - a path that the API does not have does not compile
  await hub.GET("/ai/jbos/");
  // @ts-expect-error - nor does a parameter of the wrong type
  await hub.GET("/ai/jobs/", { params: { query: { page: "two" } } });
}
