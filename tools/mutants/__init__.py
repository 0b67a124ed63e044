"""`make mutants`: small changes of the product, and whether a test fails. See README.md.

Theory of operation
===================
1. A mutant is one change of one function. `generating` and `generating_lua` make them by the
   thousand, `slips` and its neighbours are written by hand.
2. `session` collects the tests once, and `reach` records once which test runs which lines. `child`
   forks for each mutant; `installing` gives the functions that exist there other code.
3. Only the tests that run the changed statement are run, the most promising ones first, until one
   fails. A test that takes too long is killed, which counts as caught.
4. Each verdict is written at once (`verdicts`), so that an interrupted run can resume.
5. The page's engine is judged by Stryker (`stryker`); its mutants are counted with the others.
6. What nothing caught is named. `equivalent.json` has those that change nothing that users can
   see.
"""
