"""A pack proves who it is: attacks as a table, each with what must come of it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import Authenticity
from cellwarden.errors import DecodeError, IdentityError
from cellwarden.trust.envelope import from_cbor, sign, to_cbor
from cellwarden.trust.identity import Authority, Identity, Roots, pack_key, thumbprint, utc
from cellwarden.trust.keys import MemoryKeyStore
from cellwarden.trust.pack_proof import (
    ANSWER_SECOND,
    Answer,
    FileCounter,
    MemoryCounter,
    PackElement,
    Pairing,
    Question,
    judge,
    pair,
)
from trust.making import NOW, Certified, authority, certify

PACK = Identity("pack", "pack-77")


@cache
def ours() -> Authority:
    return authority()


@cache
def certified(name: str = PACK.name) -> Certified:
    return certify(ours(), Identity("pack", name))


def element(who: Certified, last: int = 0) -> PackElement:
    keys = MemoryKeyStore()
    keys.put("pack", pack_key(who.key))
    return PackElement(keys, who.certificate, MemoryCounter(last))


def ask(device: str = "bms-1", at: float = NOW) -> Question:
    return Question(secrets.token_bytes(32), device, at)


def roots() -> Roots:
    return Roots(ours().certificate)


def paired(pack: PackElement) -> Pairing:
    question = ask()
    return pair(pack.answer(question.encode()), question, roots(), NOW)


def test_the_paired_pack_is_genuine_again_and_again() -> None:
    pack = element(certified())
    pairing = paired(pack)
    for _ in range(3):
        question = ask()
        verdict = judge(pack.answer(question.encode()), question, pairing, roots(), NOW + 0.1)
        assert verdict.authenticity is Authenticity.GENUINE
        assert verdict.pairing.counter == pairing.counter + 1
        pairing = verdict.pairing


@dataclass(frozen=True)
class Attack:
    name: str
    answer: Callable[[PackElement, Question], bytes | None]
    outcome: Authenticity
    delay: float = 0.1


def _other_pack(_pack: PackElement, question: Question) -> bytes:
    return element(certified("pack-78")).answer(question.encode())


def _foreign(_pack: PackElement, question: Question) -> bytes:
    return element(certify(authority(), PACK)).answer(question.encode())


def _a_device(_pack: PackElement, question: Question) -> bytes:
    return element(certify(ours(), Identity("device", PACK.name))).answer(question.encode())


def _copied_key(_pack: PackElement, question: Question) -> bytes:
    return element(certified()).answer(question.encode())


def _old_answer(pack: PackElement, _question: Question) -> bytes:
    return pack.answer(ask().encode())


def _for_another_controller(pack: PackElement, question: Question) -> bytes:
    moved = Question(question.nonce, "bms-2", question.unix_time_second)
    return pack.answer(moved.encode())


def _flipped(pack: PackElement, question: Question) -> bytes:
    answer = bytearray(pack.answer(question.encode()))
    answer[-1] ^= 1
    return bytes(answer)


def _another_certificate(pack: PackElement, question: Question) -> bytes:
    parts = Answer.decode(pack.answer(question.encode()))
    theirs = Answer.decode(_other_pack(pack, question))
    return Answer(parts.signed, theirs.certificate).encode()


def _another_name(_pack: PackElement, question: Question) -> bytes:
    thief = certified("pack-78")
    payload = to_cbor([question.encode(), PACK.name, 99])
    kind = "application/vnd.cellwarden.pack-answer+cbor"
    signed = sign(payload, thief.key, content_type=kind, thumbprint=thumbprint(thief.certificate))
    certificate = Answer.decode(_other_pack(_pack, question)).certificate
    return Answer(signed, certificate).encode()


def _another_kind_of_message(_pack: PackElement, question: Question) -> bytes:
    who = certified()
    payload = to_cbor([question.encode(), PACK.name, 99])
    signed = sign(payload, who.key, content_type="text", thumbprint=thumbprint(who.certificate))
    certificate = Answer.decode(_copied_key(_pack, question)).certificate
    return Answer(signed, certificate).encode()


ATTACKS = (
    Attack("no answer", lambda _pack, _question: None, Authenticity.SILENT),
    Attack("rubbish", lambda _pack, _question: b"rubbish", Authenticity.FOREIGN),
    Attack("an answer too late", lambda p, q: p.answer(q.encode()), Authenticity.SILENT, 6.0),
    Attack("another pack of the fleet", _other_pack, Authenticity.SWAPPED),
    Attack("a pack of another authority", _foreign, Authenticity.FOREIGN),
    Attack("a certificate that is no pack's", _a_device, Authenticity.FOREIGN),
    Attack("a copied key that counts anew", _copied_key, Authenticity.CLONED),
    Attack("an answer to an earlier question", _old_answer, Authenticity.FOREIGN),
    Attack("an answer to another controller", _for_another_controller, Authenticity.FOREIGN),
    Attack("a flipped bit", _flipped, Authenticity.FOREIGN),
    Attack("another pack's certificate", _another_certificate, Authenticity.FOREIGN),
    Attack("another pack's name", _another_name, Authenticity.FOREIGN),
    Attack("a signature under another type", _another_kind_of_message, Authenticity.FOREIGN),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_attack_is_taken_for_the_paired_pack(attack: Attack) -> None:
    pack = element(certified())
    pairing, question = paired(pack), ask()
    answer = attack.answer(pack, question)
    verdict = judge(answer, question, pairing, roots(), NOW + attack.delay)
    assert verdict.authenticity is attack.outcome, verdict.reason
    assert verdict.pairing == pairing, "what is doubted moves nothing"
    assert ANSWER_SECOND < 6.0


def test_a_key_in_two_packs_is_found_when_both_have_answered() -> None:
    real, clone = element(certified()), element(certified(), last=10)
    pairing, question = paired(real), ask()
    clones = judge(clone.answer(question.encode()), question, pairing, roots(), NOW)
    assert clones.authenticity is Authenticity.GENUINE, "one answer alone tells nothing"
    question = ask()
    again = judge(real.answer(question.encode()), question, clones.pairing, roots(), NOW)
    assert again.authenticity is Authenticity.CLONED


def test_a_revoked_pack_is_foreign() -> None:
    pack, who = element(certified()), certified()
    pairing, question = paired(pack), ask()
    listed = ours().revocations([who.certificate.serial_number], utc(NOW))
    revoking = Roots(ours().certificate, listed)
    verdict = judge(pack.answer(question.encode()), question, pairing, revoking, NOW)
    assert verdict.authenticity is Authenticity.FOREIGN
    assert "revoked" in verdict.reason


def test_pairing_is_refused_to_what_proves_no_pack() -> None:
    question = ask()
    with pytest.raises(IdentityError):
        pair(_foreign(element(certified()), question), question, roots(), NOW)
    with pytest.raises(DecodeError):
        pair(b"", question, roots(), NOW)


@given(st.binary(max_size=200))
def test_random_questions_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        element(certified()).answer(data)


def test_a_question_says_what_it_is_made_of() -> None:
    question = ask()
    assert Question.decode(question.encode()) == question
    assert from_cbor(question.encode(), "it")[1] == "bms-1"


def test_the_counter_on_disk_goes_on_after_a_restart_and_refuses_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    assert [FileCounter(path).next() for _ in range(3)] == [1, 2, 3]
    path.write_text("many")
    with pytest.raises(DecodeError):
        FileCounter(path).next()
