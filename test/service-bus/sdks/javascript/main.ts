/** Drives the scenarios with the JavaScript SDK: main.js BRIEF. */
import { judgeAll } from '../judging.ts';
import { SdkScenario } from './driver.ts';

await judgeAll((brief, restart) => new SdkScenario(brief, restart));
