/** Drives the scenarios with a plain AMQP client: main.js BRIEF. */
import { judgeAll } from '../judging.ts';
import { PlainScenario } from './driver.ts';

await judgeAll((brief, restart) => new PlainScenario(brief, restart));
