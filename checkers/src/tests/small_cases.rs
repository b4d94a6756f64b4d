//! Small histories that were judged wrongly once, each with the answer that is right, in the formats in which they came.
use crate::checker::Options;
use crate::fitting::fitting;
use crate::history::{ReadOptions, read_any};
use crate::verdict::{Budget, Validity, Verdict};

/// Judged by the checker that fits.
fn judged(text: &str) -> Verdict {
    let (_, history) = read_any(text.as_bytes(), &ReadOptions::default()).expect("it is read");
    let fits = fitting(&history, None);
    let [fit] = &fits[..] else { panic!("one workload: {fits:?}") };
    let [candidate] = fit.candidates[..] else { panic!("one checker: {fits:?}") };
    let (name, options) = candidate.with((candidate.checker.to_owned(), Options::default()));
    let checker = crate::checker_with(&name, &options).expect("it is listed");
    crate::judge_one(checker.as_ref(), &history, &Budget::unlimited())
}

#[test]
fn a_set_whose_later_final_read_lacks_what_an_earlier_one_had() {
    for second in [1, 2] {
        let lines = format!(
            "{{:process 0, :type :invoke, :f :add, :value 1, :index 0}}\n\
             {{:process 0, :type :ok, :f :add, :value 1, :index 1}}\n\
             {{:process 1, :type :invoke, :f :read, :value nil, :final? true, :index 2}}\n\
             {{:process 1, :type :ok, :f :read, :value [1], :final? true, :index 3}}\n\
             {{:process {second}, :type :invoke, :f :read, :value nil, :final? true, :index 4}}\n\
             {{:process {second}, :type :ok, :f :read, :value [], :final? true, :index 5}}\n"
        );
        let verdict = judged(&lines);
        assert_eq!((verdict.checker.as_str(), verdict.validity), ("set", Validity::Invalid), "{}", verdict.summary);
        assert!(verdict.summary.contains("1 are lost"), "{}", verdict.summary);
    }
}
