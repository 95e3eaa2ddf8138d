import { describe, expect, test } from "vitest";
import { MetadataClient } from "../../../src/client/metadata-client.js";
import { WorkflowClient } from "../../../src/client/workflow-client.js";
import type { Exchange, HttpRequest } from "../../../src/http/exchange.js";

function setUp(body: string, status = 200) {
  const requests: HttpRequest[] = [];
  const exchange: Exchange = { kind: "answered", status, body, contentType: "application/json" };
  const transport = {
    request: async (request: HttpRequest) => {
      requests.push(request);
      return exchange;
    },
    close: async () => {},
  };
  return { metadata: new MetadataClient(transport, 1_000), workflows: new WorkflowClient(transport, 1_000), requests };
}

type Clients = ReturnType<typeof setUp>;

const definition = { name: "n", tasks: [] };
const calls: [string, (clients: Clients) => Promise<unknown>, string, string][] = [
  ["updateTaskDef", ({ metadata }) => metadata.updateTaskDef({ name: "n" }), "", "PUT /metadata/taskdefs"],
  [
    "getTaskDef",
    ({ metadata }) => metadata.getTaskDef("a/b ü"),
    '{"name":"n"}',
    "GET /metadata/taskdefs/a%2Fb%20%C3%BC",
  ],
  ["listTaskDefs", ({ metadata }) => metadata.listTaskDefs(), '[{"name":"n"}]', "GET /metadata/taskdefs"],
  ["deleteTaskDef", ({ metadata }) => metadata.deleteTaskDef("a?b"), "", "DELETE /metadata/taskdefs/a%3Fb"],
  ["registerWorkflowDef", ({ metadata }) => metadata.registerWorkflowDef(definition), "", "POST /metadata/workflow"],
  [
    "registerWorkflowDef, overwriting",
    ({ metadata }) => metadata.registerWorkflowDef(definition, { overwrite: true }),
    "",
    "POST /metadata/workflow?overwrite=true",
  ],
  ["getWorkflowDef", ({ metadata }) => metadata.getWorkflowDef("a#b"), '{"name":"n"}', "GET /metadata/workflow/a%23b"],
  [
    "getWorkflowDef, a version",
    ({ metadata }) => metadata.getWorkflowDef("a", 2),
    '{"name":"n"}',
    "GET /metadata/workflow/a?version=2",
  ],
  ["listWorkflowDefs", ({ metadata }) => metadata.listWorkflowDefs(), "[]", "GET /metadata/workflow"],
  [
    "deleteWorkflowDef",
    ({ metadata }) => metadata.deleteWorkflowDef("a b", 3),
    "",
    "DELETE /metadata/workflow/a%20b/3",
  ],
  [
    "getStatus",
    ({ workflows }) => workflows.getStatus("a/b", { includeOutput: true }),
    '{"workflowId":"a","status":"RUNNING"}',
    "GET /workflow/a%2Fb/status?includeOutput=true",
  ],
  [
    "search",
    ({ workflows }) => workflows.search({ query: "status='FAILED' AND a=b&c", size: 5, sort: "startTime:DESC" }),
    '{"totalHits":1,"results":[{"workflowId":"a","status":"FAILED"}]}',
    "GET /workflow/search?size=5&sort=startTime%3ADESC&query=status%3D'FAILED'%20AND%20a%3Db%26c",
  ],
  ["search for all", ({ workflows }) => workflows.search(), '{"totalHits":0,"results":[]}', "GET /workflow/search"],
];

describe("the requests of the Conductor client", () => {
  describe("every method", () => {
    test.each(calls)("%s: one request, its path encoded, its answer checked", async (_name, call, body, line) => {
      const clients = setUp(body);
      await call(clients);
      expect(clients.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([line]);
      expect(clients.requests[0]).toMatchObject({ lane: "main", deadlineMs: 1_000 });
      expect(clients.requests[0]!.pathTemplate).not.toMatch(/[?%]/);

      const wrong = [
        "<html>",
        "null",
        "5",
        ...(body === "" ? ["[]"] : ["", "{}"]),
        ...(body.startsWith("[") ? ['[{"a":1}]', "[null]"] : []),
      ];
      for (const nonsense of wrong) {
        const refused = setUp(nonsense);
        await expect(call(refused), nonsense).rejects.toMatchObject({
          name: "ConductorError",
          code: "MALFORMED_RESPONSE",
        });
        expect(refused.requests).toHaveLength(1);
      }
      const failing = setUp('{"status":500,"message":"no","retryable":false}', 500);
      await expect(call(failing)).rejects.toMatchObject({ name: "ConductorError", status: 500, serverMessage: "no" });
      expect(failing.requests).toHaveLength(1);
    });

    test.each(["", ".", "..", undefined as unknown as string, "\ud800"])(
      "sends nothing for a name that leads elsewhere: %j",
      async (name) => {
        const { metadata, workflows, requests } = setUp("");
        const all = [
          metadata.getTaskDef(name),
          metadata.deleteTaskDef(name),
          metadata.getWorkflowDef(name),
          metadata.deleteWorkflowDef(name, 1),
          workflows.get(name),
          workflows.getStatus(name),
          workflows.terminate(name),
        ];
        for (const each of await Promise.allSettled(all)) {
          expect(each).toMatchObject({
            status: "rejected",
            reason: { name: "ConductorError", code: "INVALID_REQUEST" },
          });
        }
        expect(requests).toEqual([]);
      },
    );

    test("sends nothing that cannot be serialised, and no version that is none", async () => {
      const { metadata, workflows, requests } = setUp("");
      const invalid = { name: "ConductorError", code: "INVALID_REQUEST" };
      await expect(metadata.registerTaskDefs([{ name: "a", inputTemplate: { n: 1n } }])).rejects.toMatchObject(invalid);
      await expect(metadata.registerWorkflowDef({ ...definition, variables: { n: 1n } })).rejects.toMatchObject(
        invalid,
      );
      await expect(workflows.start({ name: "a", input: { n: 1n } })).rejects.toMatchObject(invalid);
      await expect(metadata.deleteWorkflowDef("a", 1.5)).rejects.toMatchObject(invalid);
      expect(requests).toEqual([]);
    });
  });
});
