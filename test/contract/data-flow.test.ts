import { expect, test } from "vitest";
import { wordsFor } from "../support/contract/api.js";
import { onEveryTarget } from "../support/contract/target.js";

onEveryTarget("data between tasks", (target) => {
  const words = wordsFor(target);
  const { post, taskType, workflowDef, start, poll, pollOne, update, workflow, eventually } = words;

  test("fills the input from the workflow and from earlier tasks", async () => {
    const type = await taskType();
    const name = await workflowDef([
      { name: type, taskReferenceName: "first", inputParameters: { given: "${workflow.input.x}" } },
      {
        name: type,
        taskReferenceName: "second",
        inputParameters: {
          number: "${first.output.n}",
          object: "${first.output.o}",
          item: "${first.output.list[1].name}",
          text: "n=${first.output.n}, x=${workflow.input.x}!",
          missing: "${first.output.none.such}",
          missingInText: "<${first.output.none}>",
          laterTask: "${third.output.x}",
          itsInput: "${first.input.given}",
          workflowId: "${workflow.workflowId}",
          workflowType: "${workflow.workflowType}",
          nested: { deep: ["${first.output.n}", { again: "${workflow.input.x}" }] },
          plain: 7,
          escaped: "$${first.output.n}",
          status: "${first.status}",
        },
      },
      { name: type, taskReferenceName: "third" },
    ]);
    const workflowId = await start(name, { input: { x: "in" } });
    const first = await pollOne(type);
    expect(first.inputData).toEqual({ given: "in" });
    await update(first, { outputData: { n: 5, o: { k: [1, null] }, list: [{ name: "zero" }, { name: "one" }] } });
    expect((await pollOne(type)).inputData).toEqual({
      number: 5,
      object: { k: [1, null] },
      item: "one",
      text: "n=5, x=in!",
      missing: null,
      missingInText: "<null>",
      laterTask: null,
      itsInput: "in",
      workflowId,
      workflowType: name,
      nested: { deep: [5, { again: "in" }] },
      plain: 7,
      escaped: "${first.output.n}",
      status: "COMPLETED",
    });
  });

  test("writes lists and objects within a text as Java does", async () => {
    const type = await taskType();
    const inputParameters = { text: "${workflow.input.list} ${workflow.input.object} ${workflow.input.yes}" };
    const name = await workflowDef([{ name: type, taskReferenceName: "a", inputParameters }]);
    await start(name, { input: { list: [1, "two"], object: { k: "v" }, yes: true } });
    expect((await pollOne(type)).inputData).toEqual({ text: "[1, two] {k=v} true" });
  });

  test("starts from the inputTemplate of the definition, and from that of the workflow", async () => {
    const type = await taskType({ inputTemplate: { a: 1, b: 2, c: "${workflow.input.x}", d: 4 } });
    const inputParameters = { b: "own", d: "${workflow.input.none}" };
    const name = await workflowDef([{ name: type, taskReferenceName: "a", inputParameters }], {
      inputTemplate: { x: "template", y: "template" },
    });
    const workflowId = await start(name, { input: { y: "given" } });
    expect((await workflow(workflowId)).input).toEqual({ x: "template", y: "given" });
    expect((await pollOne(type)).inputData).toEqual({ a: 1, b: "own", c: "template", d: 4 });
  });

  test("makes the output from outputParameters, else from the last task", async () => {
    const type = await taskType();
    const tasks = [{ name: type, taskReferenceName: "a" }];
    const plain = await start(await workflowDef(tasks));
    await update(await pollOne(type), { outputData: { last: true } });
    expect((await workflow(plain)).output).toEqual({ last: true });
    const outputParameters = { n: "${a.output.n}", text: "id ${a.output.n}", fixed: 1 };
    const made = await start(await workflowDef(tasks, { outputParameters }));
    await update(await pollOne(type), { outputData: { n: 3 } });
    expect((await workflow(made)).output).toEqual({ n: 3, text: "id 3", fixed: 1 });
  });

  test("runs the branches of a fork side by side and joins them", async () => {
    const [left, right, after] = [await taskType(), await taskType(), await taskType()];
    const name = await workflowDef([
      {
        name: "fork",
        taskReferenceName: "fork",
        type: "FORK_JOIN",
        forkTasks: [
          [{ name: left, taskReferenceName: "left" }],
          [
            { name: right, taskReferenceName: "right1" },
            { name: right, taskReferenceName: "right2" },
          ],
        ],
      },
      { name: "join", taskReferenceName: "join", type: "JOIN", joinOn: ["left", "right2"] },
      {
        name: after,
        taskReferenceName: "after",
        inputParameters: { joined: "${join.output}", one: "${join.output.left.n}" },
      },
    ]);
    const workflowId = await start(name);
    expect((await workflow(workflowId)).tasks.map((t) => [t.referenceTaskName, t.taskType, t.status])).toEqual([
      ["fork", "FORK", "COMPLETED"],
      ["left", left, "SCHEDULED"],
      ["right1", right, "SCHEDULED"],
      ["join", "JOIN", "IN_PROGRESS"],
    ]);
    await update(await pollOne(left), { outputData: { n: 1 } });
    await update(await pollOne(right), { outputData: { n: 2 } });
    expect(await poll(after)).toEqual([]);
    await update(await pollOne(right), { outputData: { n: 3 } });
    let joined = await poll(after);
    for (let attempt = 0; attempt < 60 && joined.length === 0; attempt++) {
      await words.put(`/workflow/decide/${workflowId}`);
      joined = await poll(after);
    }
    expect(joined[0]?.inputData).toEqual({ joined: { left: { n: 1 }, right2: { n: 3 } }, one: 1 });
    await update(joined[0]!);
    expect((await eventually(workflowId, "COMPLETED")).status).toBe("COMPLETED");
  });

  test("cancels the siblings of a branch that failed for good", async () => {
    const [bad, good] = [await taskType({ retryCount: 0 }), await taskType()];
    const name = await workflowDef([
      {
        name: "fork",
        taskReferenceName: "fork",
        type: "FORK_JOIN",
        forkTasks: [[{ name: bad, taskReferenceName: "bad" }], [{ name: good, taskReferenceName: "good" }]],
      },
      { name: "join", taskReferenceName: "join", type: "JOIN", joinOn: ["bad", "good"] },
    ]);
    const workflowId = await start(name);
    await update(await pollOne(bad), { status: "FAILED" });
    const ended = await workflow(workflowId);
    expect(ended.status).toBe("FAILED");
    const statusOf = (reference: string) => ended.tasks.find((t) => t.referenceTaskName === reference)?.status;
    expect([statusOf("bad"), statusOf("good")]).toEqual(["FAILED", "CANCELED"]);
    // A real server may have looked at the JOIN in between, and failed it.
    expect(statusOf("join")).toMatch(target.isEmbedded ? /^CANCELED$/ : /^(CANCELED|FAILED)$/);
    expect(await poll(good)).toEqual([]);
  });

  test("joins forks within forks", async () => {
    const type = await taskType();
    const simple = (taskReferenceName: string) => ({ name: type, taskReferenceName });
    const name = await workflowDef(
      [
        {
          name: "outer",
          taskReferenceName: "outer",
          type: "FORK_JOIN",
          forkTasks: [
            [
              simple("a"),
              {
                name: "inner",
                taskReferenceName: "inner",
                type: "FORK_JOIN",
                forkTasks: [[simple("b")], [simple("c")]],
              },
              { name: "innerJoin", taskReferenceName: "innerJoin", type: "JOIN", joinOn: ["b", "c"] },
            ],
            [simple("d")],
          ],
        },
        { name: "outerJoin", taskReferenceName: "outerJoin", type: "JOIN", joinOn: ["innerJoin", "d"] },
      ],
      { outputParameters: { joined: "${outerJoin.output}" } },
    );
    const workflowId = await start(name);
    const seen: string[] = [];
    for (let index = 0; index < 4; index++) {
      const task = await pollOne(type);
      seen.push(task.referenceTaskName);
      await update(task, { outputData: { ref: task.referenceTaskName } });
    }
    expect(seen.sort()).toEqual(["a", "b", "c", "d"]);
    const ended = await eventually(workflowId, "COMPLETED");
    expect(ended.output).toEqual({ joined: { d: { ref: "d" }, innerJoin: { b: { ref: "b" }, c: { ref: "c" } } } });
  });

  if (target.isEmbedded)
    test("refuses by name what it does not have", async () => {
      const type = await taskType();
      const refused = async (tasks: object[], more: object, text: RegExp) => {
        const answer = await post("/metadata/workflow", { name: "refused", tasks, ...more });
        expect(answer.status).toBe(400);
        expect(answer.json.message).toMatch(/embedded Conductor/);
        expect(answer.json.message).toMatch(text);
      };
      const simple = { name: type, taskReferenceName: "a" };
      await refused([{ name: "w", taskReferenceName: "w", type: "WAIT" }], {}, /WAIT \(task w\)/);
      const hidden = [[{ name: "h", taskReferenceName: "h", type: "HTTP" }]];
      const join = { name: "j", taskReferenceName: "j", type: "JOIN" };
      await refused(
        [{ name: "f", taskReferenceName: "f", type: "FORK_JOIN", forkTasks: hidden }, join],
        {},
        /HTTP \(task h\)/,
      );
      await refused([{ name: "f", taskReferenceName: "f", type: "FORK_JOIN" }, simple], {}, /JOIN directly after/);
      await refused([simple], { failureWorkflow: "other" }, /failure workflows/);
      await refused([{ ...simple, inputParameters: { x: "${workflow.input.list[?(@.a)]}" } }], {}, /cannot evaluate/);
    });
});
