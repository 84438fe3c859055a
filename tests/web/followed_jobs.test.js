import assert from "node:assert/strict";
import { test } from "node:test";
import { createFollowedJobs } from "../../hunyuan_ui/ui/web/followed_jobs.js";

const [A, B, C] = ["a", "b", "c"].map((id) => ({ id }));

function store(held = {}) {
  return {
    held,
    get: (name) => held[name] ?? null,
    set: (name, text) => {
      held[name] = text;
    },
    remove: (name) => {
      delete held[name];
    },
  };
}

test("a job that is no longer under way is asked for its end, once", () => {
  const jobs = createFollowedJobs(store(), store());
  jobs.setActive([A, B]);
  assert.deepEqual(jobs.endedBy([B]), ["a"]);
  assert.deepEqual(jobs.end("a"), { isNews: true, isWatched: true });
  assert.deepEqual(jobs.endedBy([B]), []);
  assert.deepEqual(jobs.end("a"), { isNews: false, isWatched: false });
});

test("jobs of a click join those that the server told before, as it tells them last", () => {
  const jobs = createFollowedJobs(store(), store());
  jobs.setActive([A, B]);
  const later = { id: "b", phase: "sent" };
  jobs.add([later, C]);
  assert.deepEqual(jobs.arrange("c"), { focus: C, resting: null, others: [A, later] });
  assert.deepEqual(jobs.endedBy([A, B]), ["c"]);
  jobs.add([A]);
  assert.deepEqual(jobs.arrange("c").others, [A, later]);
});

test("a job that has ended takes no place until the server is asked again", () => {
  const jobs = createFollowedJobs(store(), store());
  jobs.setActive([A, B]);
  jobs.end("a");
  assert.deepEqual(jobs.arrange("a"), { focus: B, resting: null, others: [] });
  jobs.end("b");
  assert.ok(!jobs.hasAny());
});

test("an answer older than a click takes none of its jobs away until their own answers do", () => {
  const jobs = createFollowedJobs(store(), store());
  jobs.setActive([A]);
  jobs.add([B]);
  jobs.setActive([{ ...A, phase: "sent" }]);
  assert.deepEqual(jobs.arrange("b"), { focus: B, resting: null, others: [{ ...A, phase: "sent" }] });
  assert.deepEqual(jobs.endedBy([A]), ["b"]);
  jobs.end("b");
  assert.deepEqual(jobs.arrange("b").focus, { ...A, phase: "sent" });
});

test("a click whose answer was lost is followed by its id alone", () => {
  const jobs = createFollowedJobs(store(), store());
  assert.ok(!jobs.hasAny());
  jobs.follow("a");
  assert.ok(jobs.hasAny());
  assert.deepEqual(jobs.endedBy([]), ["a"]);
});

test("the wanted job has the card, else the first that is watched", () => {
  const jobs = createFollowedJobs(store(), store());
  jobs.setActive([A, B, C]);
  assert.deepEqual(jobs.arrange("b"), { focus: B, resting: null, others: [A, C] });
  assert.deepEqual(jobs.arrange("gone").focus, A);
  jobs.stop("b");
  assert.deepEqual(jobs.arrange("b"), { focus: A, resting: B, others: [B, C] });
});

test("when nothing is watched, the first that rests is said and the others are listed", () => {
  const jobs = createFollowedJobs(store(), store());
  jobs.setActive([A, B]);
  jobs.stop("a");
  jobs.stop("b");
  assert.deepEqual(jobs.arrange(null), { focus: null, resting: A, others: [B] });
  jobs.watchAgain("b");
  assert.deepEqual(jobs.arrange("b"), { focus: B, resting: A, others: [A] });
});

test("what is no longer watched is still followed after a reload of the tab, and ends quietly", () => {
  const tab = store();
  const before = createFollowedJobs(tab, store());
  before.setActive([A, B]);
  before.stop("a");
  const after = createFollowedJobs(tab, store());
  assert.ok(after.isStopped("a"));
  assert.deepEqual(after.endedBy([]), ["a"]);
  assert.deepEqual(after.end("a"), { isNews: true, isWatched: false });
  assert.deepEqual(tab.held, {});
});

test("what is watched again is watched after a reload of the tab as well", () => {
  const tab = store();
  const before = createFollowedJobs(tab, store());
  before.setActive([A, B]);
  before.stop("a");
  before.stop("b");
  before.watchAgain("a");
  const after = createFollowedJobs(tab, store());
  assert.deepEqual(["a", "b"].map(after.isStopped), [false, true]);
});

test("a problem that was read stays read in every tab until it is looked for again", () => {
  const kept = store();
  createFollowedJobs(store(), kept).dismiss("a");
  const other = createFollowedJobs(store(), kept);
  assert.ok(other.isDismissed("a"));
  other.reopen("a");
  assert.ok(!other.isDismissed("a"));
  assert.deepEqual(other.endedBy([]), ["a"]);
  assert.ok(!createFollowedJobs(store(), kept).isDismissed("a"));
});

test("more are kept as read than an opening page is told of, and no more than that", () => {
  const kept = store();
  const jobs = createFollowedJobs(store(), kept);
  for (let number = 0; number < 70; number += 1) jobs.dismiss(`job-${number}`);
  const after = createFollowedJobs(store(), kept);
  assert.ok(!after.isDismissed("job-9"));
  assert.ok(after.isDismissed("job-10"));
  assert.ok(after.isDismissed("job-69"));
});

test("a store that keeps nothing, or holds spaces, does no harm", () => {
  const blind = { get: () => null, set: () => false, remove: () => {} };
  const jobs = createFollowedJobs(blind, blind);
  jobs.stop("a");
  assert.ok(jobs.isStopped("a"));
  assert.deepEqual(createFollowedJobs(store({ hunyuan_stopped: "  x   y " }), store()).endedBy([]), ["x", "y"]);
});
