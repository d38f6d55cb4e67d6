// The core journeys with Modal's JavaScript SDK: `node journeys.mjs`, in a directory that has the package `modal`.
// Prints a line of JSON for each journey. The server and its token are in the environment, as the SDK reads them.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ModalClient, NotFoundError, SandboxFilesystemNotFoundError } from "modal";

const modal = new ModalClient();
const app = await modal.apps.fromName("conformance-js", { createIfMissing: true });
// Of the version that this machine's sandboxes have, since a registry image brings its own Python.
const image = modal.images.fromRegistry(process.env.JOURNEYS_IMAGE);

const create = (command, params = {}) => modal.sandboxes.create(app, image, { command, ...params });

const journeys = {
  async followsOutput() {
    const sandbox = await create(["sh", "-c", "echo one; cat; echo wrong >&2; exit 7"]);
    assert.equal(await sandbox.poll(), null);
    await sandbox.stdin.writeText("a line\n");
    await sandbox.stdin.close();
    assert.equal(await sandbox.stdout.readText(), "one\na line\n");
    assert.equal(await sandbox.stderr.readText(), "wrong\n");
    assert.equal(await sandbox.wait(), 7);
  },

  async usesAGpu() {
    const sandbox = await create(["echo", "on a T4"], { gpu: "T4", cpu: 1, memoryMiB: 512 });
    assert.equal(await sandbox.stdout.readText(), "on a T4\n");
    await assert.rejects(create(["true"], { gpu: "A1000" }), /A1000/);
  },

  async isTerminated() {
    const sandbox = await create(["sleep", "60"]);
    await sandbox.terminate();
    assert.equal(await sandbox.wait(), 137);
  },

  async isTimedOut() {
    const sandbox = await create(["sleep", "60"], { timeoutMs: 1000 });
    assert.equal(await sandbox.wait(), 124);
  },

  async isFoundAgain() {
    const name = `named-js-${process.pid}`;
    const sandbox = await create(["sleep", "60"], { name, tags: { run: name } });
    const found = await modal.sandboxes.fromName("conformance-js", name);
    assert.equal(found.sandboxId, sandbox.sandboxId);
    const listed = [];
    for await (const item of modal.sandboxes.list({ appId: app.appId, tags: { run: name } })) {
      listed.push(item.sandboxId);
    }
    assert.deepEqual(listed, [sandbox.sandboxId]);
    await sandbox.terminate();
  },

  async runsCommandsInside() {
    const sandbox = await create(["sleep", "60"], { env: { OUTER: "1" } });
    const process = await sandbox.exec(["sh", "-c", "echo $OUTER; cat; exit 3"]);
    await process.stdin.writeText("typed");
    await process.stdin.close();
    assert.equal(await process.stdout.readText(), "1\ntyped");
    assert.equal(await process.wait(), 3);
    await sandbox.terminate();
  },

  async keepsFiles() {
    const sandbox = await create(["sleep", "60"]);
    const directory = await mkdtemp(join(tmpdir(), "journey-"));
    const target = join(directory, "new", "data.bin");
    const content = new Uint8Array(500_000).map((_, index) => index % 256);
    await sandbox.filesystem.writeBytes(content, target);
    assert.deepEqual(await sandbox.filesystem.readBytes(target), content);
    await sandbox.filesystem.remove(target);
    await assert.rejects(sandbox.filesystem.readBytes(target), SandboxFilesystemNotFoundError);
    await rm(directory, { recursive: true });
    await sandbox.terminate();
  },

  async keepsSecrets() {
    const secret = await modal.secrets.fromObject({ KEY: "v4lue" });
    const sandbox = await create(["sh", "-c", "echo $KEY"], { secrets: [secret] });
    assert.equal(await sandbox.stdout.readText(), "v4lue\n");
    await assert.rejects(modal.secrets.fromName("absent"), NotFoundError);
  },

  // This SDK mounts and reloads volumes; it has no calls of its own for their files.
  async keepsVolumes() {
    const volume = await modal.volumes.fromName(`volume-js-${process.pid}`, { createIfMissing: true });
    const [writer, reader] = [
      await create(["sleep", "60"], { volumes: { "/data": volume } }),
      await create(["sleep", "60"], { volumes: { "/data": volume } }),
    ];
    const run = async (sandbox, ...command) => {
      const process = await sandbox.exec(command);
      return [await process.stdout.readText(), await process.wait()];
    };
    assert.deepEqual(await run(writer, "sh", "-c", "echo written > /data/file"), ["", 0]);
    assert.deepEqual(await run(writer, "sync", "/data"), ["", 0]);
    assert.deepEqual(await run(reader, "cat", "/data/file"), ["", 1]);
    await reader.reloadVolumes();
    assert.deepEqual(await run(reader, "cat", "/data/file"), ["written\n", 0]);
    await writer.terminate();
    await reader.terminate();
  },

  async endsWhenNobodyUsesIt() {
    const sandbox = await create(["sleep", "60"], { idleTimeoutMs: 1000 });
    assert.equal(await sandbox.wait(), 137);
  },

  async endsWhenItHoldsTooMuch() {
    const program = "import time; held = bytearray(200_000_000); time.sleep(60)";
    const sandbox = await create(["python", "-c", program], { memoryMiB: 64, memoryLimitMiB: 100 });
    assert.equal(await sandbox.wait(), 137);
  },

  async isRefusedWithAnotherToken() {
    const stranger = new ModalClient({ tokenId: "ak-wrong", tokenSecret: "as-wrong" });
    await assert.rejects(stranger.apps.fromName("conformance-js"), /token/i);
    stranger.close();
  },

  async isToldWhatDoesNotExist() {
    const absent = await modal.sandboxes.fromId("sb-" + "0".repeat(22));
    await assert.rejects(absent.poll(), /No sandbox/); // the SDK does not make an error of its own of it
    await assert.rejects(modal.apps.fromName("absent"), NotFoundError);
  },
};

for (const [journey, make] of Object.entries(journeys)) {
  let failure = "";
  try {
    await make();
  } catch (error) {
    failure = error.stack ?? String(error);
  }
  console.log(JSON.stringify({ journey, failure }));
}
modal.close();
