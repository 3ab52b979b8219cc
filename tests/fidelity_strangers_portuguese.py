"""Portuguese for the third and fourth corruption sets: a sentence, its English, and the English
with one mistake.

By whom and when they were written, and what was tuned on them: ``fidelity_strangers``.
"""

from __future__ import annotations

from second_set_world import Phrase, phrase

THIRD: tuple[Phrase, ...] = (
    phrase(
        "Seio costofrênico esquerdo velado.",
        "Blunted left costophrenic angle.",
        side="Blunted right costophrenic angle.",
        denial="The left costophrenic angle is not blunted.",
    ),
    phrase(
        "Ausência de derrame pleural.",
        "Absence of pleural effusion.",
        denial="Presence of pleural effusion.",
    ),
    phrase(
        "Área cardíaca aumentada.",
        "Enlarged cardiac area.",
        denial="The cardiac area is not enlarged.",
    ),
    phrase(
        "Opacidade em vidro fosco no lobo inferior direito.",
        "Ground-glass opacity in the right lower lobe.",
        side="Ground-glass opacity in the left lower lobe.",
        denial="No ground-glass opacity in the right lower lobe.",
    ),
    phrase(
        "Nódulo calcificado medindo 6 mm no terço médio do pulmão esquerdo.",
        "Calcified nodule measuring 6 mm in the middle third of the left lung.",
        number="Calcified nodule measuring 16 mm in the middle third of the left lung.",
        side="Calcified nodule measuring 6 mm in the middle third of the right lung.",
    ),
    phrase(
        "Não há sinais de pneumotórax.",
        "There are no signs of pneumothorax.",
        denial="There are signs of pneumothorax.",
    ),
    phrase(
        "Cateter de acesso subclávio direito com extremidade na veia cava superior.",
        "Right subclavian catheter with its tip in the superior vena cava.",
        side="Left subclavian catheter with its tip in the superior vena cava.",
    ),
    phrase(
        "Aorta alongada e ateromatosa.",
        "Elongated and atheromatous aorta.",
        denial="The aorta is neither elongated nor atheromatous.",
    ),
    phrase(
        "Estrias atelectásicas na base esquerda.",
        "Atelectatic streaks at the left base.",
        side="Atelectatic streaks at the right base.",
        denial="No atelectatic streaks at the left base.",
    ),
    phrase(
        "Fratura consolidada do quinto arco costal esquerdo.",
        "Healed fracture of the left fifth rib.",
        number="Healed fracture of the left eighth rib.",
        side="Healed fracture of the right fifth rib.",
    ),
    phrase(
        "Espessamento pleural apical à direita.",
        "Apical pleural thickening on the right.",
        side="Apical pleural thickening on the left.",
        denial="No apical pleural thickening on the right.",
    ),
    phrase(
        "Consolidação no lobo superior direito, podendo corresponder a pneumonia.",
        "Consolidation in the right upper lobe, which may correspond to pneumonia.",
        side="Consolidation in the left upper lobe, which may correspond to pneumonia.",
    ),
    phrase(
        "Hilos pulmonares sem alterações.",
        "Pulmonary hila without abnormalities.",
        denial="Pulmonary hila with abnormalities.",
    ),
    phrase(
        "Pulmões expandidos, sem opacidades.",
        "Expanded lungs, without opacities.",
        denial="Expanded lungs, with opacities.",
    ),
    phrase(
        "Sinais de hiperinsuflação pulmonar.",
        "Signs of pulmonary hyperinflation.",
        denial="No signs of pulmonary hyperinflation.",
    ),
    phrase(
        "Tubo orotraqueal com extremidade a 3 cm da carina.",
        "Orotracheal tube with its tip 3 cm from the carina.",
        number="Orotracheal tube with its tip 7 cm from the carina.",
    ),
    phrase(
        "Elevação da cúpula frênica esquerda.",
        "Elevation of the left hemidiaphragm.",
        side="Elevation of the right hemidiaphragm.",
        denial="No elevation of the left hemidiaphragm.",
    ),
    phrase(
        "Marca-passo com eletrodo no ventrículo direito.",
        "Pacemaker with a lead in the right ventricle.",
        side="Pacemaker with a lead in the left ventricle.",
    ),
    phrase(
        "Derrame pleural bilateral, maior à direita.",
        "Bilateral pleural effusion, larger on the right.",
        side="Bilateral pleural effusion, larger on the left.",
        denial="No bilateral pleural effusion.",
    ),
    phrase(
        "Alterações degenerativas da coluna torácica.",
        "Degenerative changes of the thoracic spine.",
        denial="No degenerative changes of the thoracic spine.",
    ),
    phrase(
        "Sutura metálica esternal.",
        "Metallic sternal suture.",
    ),
    phrase(
        "Transparência pulmonar preservada.",
        "Preserved lung transparency.",
        denial="Lung transparency is not preserved.",
    ),
)

FOURTH: tuple[Phrase, ...] = (
    phrase(
        "Drenos torácicos bilaterais.",
        "Bilateral chest drains.",
        denial="No chest drains.",
    ),
    phrase(
        "Pequeno pneumotórax apical direito.",
        "Small right apical pneumothorax.",
        side="Small left apical pneumothorax.",
        denial="No right apical pneumothorax.",
    ),
    phrase(
        "Opacidades reticulares bibasais.",
        "Bibasal reticular opacities.",
        denial="No bibasal reticular opacities.",
    ),
    phrase(
        "Duas imagens nodulares no lobo superior esquerdo.",
        "Two nodular images in the left upper lobe.",
        number="Three nodular images in the left upper lobe.",
        side="Two nodular images in the right upper lobe.",
    ),
    phrase(
        "Mediastino centrado.",
        "Centered mediastinum.",
        denial="The mediastinum is not centered.",
    ),
    phrase(
        "Seios costofrênicos livres.",
        "Clear costophrenic angles.",
        denial="Blunted costophrenic angles.",
    ),
    phrase(
        "Não se observa congestão pulmonar.",
        "No pulmonary congestion is observed.",
        denial="Pulmonary congestion is observed.",
    ),
    phrase(
        "Redução volumétrica do pulmão direito.",
        "Volume loss of the right lung.",
        side="Volume loss of the left lung.",
        denial="No volume loss of the right lung.",
    ),
    phrase(
        "Massa de 4,1 cm no lobo médio.",
        "A 4.1 cm mass in the middle lobe.",
        number="A 1.4 cm mass in the middle lobe.",
        denial="No 4.1 cm mass in the middle lobe.",
    ),
    phrase(
        "Coração de dimensões normais.",
        "Heart of normal dimensions.",
        denial="Enlarged heart.",
    ),
    phrase(
        "Cateter central pela jugular esquerda.",
        "Central catheter through the left jugular vein.",
        side="Central catheter through the right jugular vein.",
    ),
    phrase(
        "Acentuação da cifose torácica.",
        "Accentuated thoracic kyphosis.",
        denial="No accentuated thoracic kyphosis.",
    ),
    phrase(
        "Consolidação retrocardíaca, suspeita de pneumonia.",
        "Retrocardiac consolidation, suspicious for pneumonia.",
        denial="No retrocardiac consolidation.",
    ),
    phrase(
        "Enfisema subcutâneo à esquerda.",
        "Subcutaneous emphysema on the left.",
        side="Subcutaneous emphysema on the right.",
        denial="No subcutaneous emphysema on the left.",
    ),
)
