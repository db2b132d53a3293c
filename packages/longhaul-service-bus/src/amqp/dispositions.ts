/**
 * What is said of deliveries, in as few frames as there can be. rhea's own way takes two that follow
 * each other for one, whatever their outcomes are: a refused message would be told as accepted.
 */
import rhea, { type Typed } from 'rhea';
import type { SessionInternals } from './rhea-internals.ts';

const { types } = rhea;

const code = { disposition: 0x15, accepted: 0x24 } as const;

interface Told {
  id: number;
  settled: boolean;
  remote_settled: boolean;
  state?: (Typed & { descriptor?: { value: unknown } }) | undefined;
  link: { connection: { _register(): void } };
}

type Side = Pick<SessionInternals['outgoing'], 'tell' | 'update' | 'process'>;

const isAccepted = ({ state }: Told) => state?.descriptor?.value === code.accepted;

/** Consecutive, settled alike, and both accepted: one frame does for both. */
const joins = (last: Told, next: Told) =>
  next.id === last.id + 1 && next.settled === last.settled && isAccepted(last) && isAccepted(next);

function write(session: SessionInternals, receives: boolean, all: readonly Told[]): void {
  for (let at = 0; at < all.length; ) {
    const first = all[at] as Told;
    let last = first;
    for (let next = all[++at]; next && joins(last, next); next = all[++at]) last = next;
    const fields = [
      ...[receives, types.wrap_uint(first.id), types.wrap_uint(last.id), first.settled],
      first.state ?? null,
    ];
    session.output(types.wrap_described(types.wrap_list(fields), code.disposition));
  }
}

export function tellApart(session: SessionInternals): void {
  const sides: [side: Side, receives: boolean][] = [
    [session.outgoing as Side, false],
    [session.incoming as unknown as Side, true],
  ];
  for (const [side, receives] of sides) {
    let told: Told[] = [];
    side.tell = (one) => void told.push(one as Told);
    side.update = (delivery, settled, state) => {
      const one = delivery as Told | undefined;
      if (!one) return;
      one.settled = settled;
      if (state !== undefined) one.state = state as Told['state'];
      if (!one.remote_settled) told.push(one);
      one.link.connection._register();
    };
    const process = side.process.bind(side);
    side.process = (of) => {
      process(of);
      const now = told;
      told = [];
      write(session, receives, now);
    };
  }
}
