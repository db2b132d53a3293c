/** Deliveries that the broker takes back: rhea keeps each in its place until both sides have settled it. */
import type { Delivery } from 'rhea';
import type { DeliveryInternals, SessionInternals } from './rhea-internals.ts';

// Of those whose receiver has not yet found out that their locks are over.
const mostFreed = 10_000;

interface Freed extends Omit<DeliveryInternals, 'link'> {
  next_to_send: number;
  link: { session: SessionInternals; connection: { _register(): void } };
}

/**
 * Frees the slot of a delivery that the broker took back: the next ones need it. True when it had not
 * been written yet, and now never is.
 */
export function freeDelivery(delivery: Delivery): boolean {
  const freed = delivery as unknown as Freed;
  if (freed.settled) return false;
  const { session, connection } = freed.link;
  if (freed.id >= session.outgoing.next_pending_delivery && freed.next_to_send === 0) {
    withdraw(session, freed);
    return true;
  }
  freed.settled = true;
  freed.remote_settled = true;
  session.freed ??= new Set();
  session.freed.add(freed.id);
  if (session.freed.size > mostFreed) session.freed.delete([...session.freed][0] ?? 0);
  connection._register();
  return false;
}

/**
 * `freed` comes when there are places again of which a link wants some: answers free them, of which the
 * client that has said all it had to say says nothing more.
 */
export function watchPlaces(session: SessionInternals, freed: () => void): void {
  const { outgoing } = session;
  const process = outgoing.process.bind(outgoing);
  outgoing.process = (of) => {
    process(of);
    if (!session.wantsPlaces || outgoing.available() <= 0) return;
    session.wantsPlaces = false;
    freed();
  };
}

/** Those behind it move up, as if it had never been: rhea looks for each id in turn, and stops at a gap. */
function withdraw({ outgoing }: SessionInternals, { id }: { id: number }): void {
  const { deliveries: ring } = outgoing;
  const at = (of: number) => (ring.head + of - (ring.get_head()?.id ?? 0)) % ring.capacity;
  for (let next = id + 1; next < outgoing.next_delivery_id; next++) {
    const moved = ring.entries[at(next)] as { id: number };
    moved.id = next - 1;
    ring.entries[at(next - 1)] = moved;
  }
  ring.tail = (ring.tail + ring.capacity - 1) % ring.capacity;
  ring.entries[ring.tail] = undefined;
  ring.size--;
  outgoing.next_delivery_id--;
}
