// What is known here of videos and newer than an answer: a deletion or a star since it was asked for.

export function createUnconfirmedChanges() {
  let changes = 0;
  const known = new Map(); // the last change of each video, by its id

  return {
    /** How many changes there were until now; to be noted when a question is asked. */
    now: () => changes,

    /** @param {string} id @param {{isGone?: boolean, is_favourite?: boolean}} facts */
    note(id, facts) {
      changes += 1;
      known.set(id, { change: changes, facts });
    },

    /**
     * Return an answer's videos without those that are gone since it was asked for, and with the newer facts.
     * @template {{id: string}} Video
     * @param {Video[]} videos
     * @param {number} since The number of changes by then.
     */
    over(videos, since) {
      const factsOf = ({ id }) => (known.get(id)?.change > since ? known.get(id).facts : {});
      return videos.filter((video) => !factsOf(video).isGone).map((video) => Object.assign(video, factsOf(video)));
    },
  };
}
