/** A note that stands for a job is its id, or an object whose first member is its id. */
export const isClaimOf = (note: string, id: string): boolean =>
  note === id || note.startsWith(`{"id":${JSON.stringify(id)},`);
