// @vitest-environment jsdom
import { beforeEach, describe, expect, it } from "vitest";
import { Delivery, type Exclusively } from "./delivery";
import { addToOutbox, outboxOf, removeChatFromOutbox, removeFromOutbox, setRefused } from "./outbox";

let delivered: string[];
let isReady: boolean;
/** The server's handling of a message; by default it accepts. */
let serve: (id: string) => Promise<void>;

beforeEach(() => {
  localStorage.clear();
  removeChatFromOutbox("c1");
  [delivered, isReady] = [[], true];
  serve = async (id) => removeFromOutbox(id);
});

function deliveryOf(exclusively: Exclusively = (_, work) => work(), arrived: string[] = []): Delivery {
  const recipient = {
    isReady: () => isReady,
    hasArrived: (message: string) => arrived.includes(message),
    deliver: ({ id }: { id: string }) => {
      delivered.push(id);
      return serve(id);
    },
  };
  return new Delivery("c1", recipient, exclusively);
}

function write(...ids: string[]): void {
  for (const id of ids) addToOutbox({ id, chat: "c1", text: id });
}

describe("a delivery", () => {
  it("sends the waiting messages of its chat in order", async () => {
    write("m1", "m2");
    addToOutbox({ id: "other", chat: "c2", text: "Elsewhere" });
    await deliveryOf().run();
    expect(delivered).toEqual(["m1", "m2"]);
    removeChatFromOutbox("c2");
  });

  it("sends a message once, however often it runs meanwhile", async () => {
    write("m1");
    let answer = (): void => undefined;
    serve = (id) => new Promise((resolve) => (answer = () => resolve(removeFromOutbox(id))));
    const delivery = deliveryOf();
    const first = delivery.run();
    await delivery.run(); // the network came back, twice
    await delivery.run();
    expect(delivered).toEqual(["m1"]);
    answer();
    await first;
    expect(delivered).toEqual(["m1"]);
  });

  it("can run again after a failure", async () => {
    write("m1");
    serve = () => Promise.reject(new Error("No."));
    const delivery = deliveryOf();
    await expect(delivery.run()).rejects.toThrow("No.");
    serve = async (id) => removeFromOutbox(id);
    await delivery.run();
    expect(delivered).toEqual(["m1", "m1"]);
  });

  it("does not send what another tab has sent while it waited", async () => {
    write("m1", "m2");
    const names: string[] = [];
    const delivery = deliveryOf(async (name, work) => {
      names.push(name);
      if (name === "send:m1") removeFromOutbox("m1");
      await work();
    });
    await delivery.run();
    expect(delivered).toEqual(["m2"]);
    expect(names).toEqual(["send:m1", "send:m2"]);
    write("m1");
    await delivery.run();
    expect(delivered).toEqual(["m2"]);
  });

  it("does not retry by itself", async () => {
    write("m1", "m2");
    serve = () => Promise.resolve();
    await deliveryOf().run();
    expect(delivered).toEqual(["m1"]);
  });

  it("skips refused messages and removes accepted ones", async () => {
    write("m1", "m2", "m3");
    setRefused("m2", "Too long.");
    await deliveryOf(undefined, ["m1"]).run();
    expect(delivered).toEqual(["m3"]);
    expect(outboxOf("c1").map(({ id }) => id)).toEqual(["m2"]);
  });

  it("waits while the chat cannot take a message", async () => {
    write("m1", "m2");
    isReady = false;
    const delivery = deliveryOf();
    await delivery.run();
    expect(delivered).toEqual([]);
    isReady = true;
    serve = async (id) => {
      removeFromOutbox(id);
      isReady = false; // its answer is being written
    };
    await delivery.run();
    expect(delivered).toEqual(["m1"]);
  });
});
