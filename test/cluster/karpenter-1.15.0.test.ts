import t from 'tap';
import { karpenterScenarios } from './karpenter/real.ts';

t.setTimeout(900_000);
await t.test('Karpenter 1.15.0', (t) => karpenterScenarios(t, '1.15.0'));
