/** What an operator is told. */
import { LonghaulError } from '../errors.ts';

export class UnknownLaneError extends LonghaulError {
  constructor(lane: string, known: readonly string[]) {
    super(
      'unknown_lane',
      422,
      `There is no lane '${lane}'. topology.json has ${known.join(', ')}.`,
    );
  }
}

export class NotPausedError extends LonghaulError {
  constructor(scope: string, name: string) {
    super('not_paused', 409, `The ${scope} '${name}' is not paused.`);
  }
}

export class JobNotEndedError extends LonghaulError {
  constructor(id: string, state: string) {
    super('job_not_ended', 409, `Job '${id}' is ${state}: cancel it first, then delete it.`);
  }
}
